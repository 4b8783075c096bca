# SPDX-License-Identifier: Apache-2.0
"""The wished HDK release, and what the image has, judged by the version matrix before a server changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from telechat_runtime.versions.advice import Advice, advise
from telechat_runtime.versions.judge import Verdict
from telechat_runtime.versions.matrix import Versions

Problem = dict[str, str]
REFUSE = "refuse"


def preflight_matrix(
    packages: Mapping[str, Any], stack: Mapping[str, str | None], off_matrix: str
) -> dict[str, list[Problem]]:
    """Return {"problems": […], "cautions": […]} of the wished versions, each as a module's problems are.

    `packages` is what `hdk_packages` found, `stack` the image's cann, mindspore and mindformers where they are known.
    Broken is a problem; off the matrix is one, too, when `off_matrix` is "refuse", else a caution.
    """
    wished = {
        Versions(driver=pair["driver"]["version"], firmware=pair["firmware"]["version"], **stack)
        for pair in packages.values()
    }
    found: dict[str, list[Problem]] = {"problems": [], "cautions": []}
    for versions in sorted(wished, key=str):
        advice = advise(versions)
        verdict = advice.judgement.verdict
        if verdict is Verdict.BROKEN or (verdict is Verdict.OFF and off_matrix == REFUSE):
            found["problems"].append(_problem(advice, "it does not work" if verdict is Verdict.BROKEN else REFUSE))
        elif verdict is Verdict.OFF:
            found["cautions"].append(_problem(advice, "it works, but is not recommended"))
    return found


def _problem(advice: Advice, why: str) -> Problem:
    rule = "preflight_off_matrix: refuse" if why == REFUSE else why
    return {
        "check": "version_matrix",
        "value": advice.reason,
        "rule": rule,
        "next_step": advice.next_step or "choose an HDK release of the matrix",
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"preflight_matrix": preflight_matrix}
