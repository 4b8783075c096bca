# SPDX-License-Identifier: Apache-2.0
"""The stand-in for Docker's old client refuses what that client does not know."""

from __future__ import annotations

import pytest

from lab.docker_18_09 import refusal


@pytest.mark.parametrize(
    "line",
    [
        "--version",
        "-H unix:///run/docker.sock ps --quiet --no-trunc",
        "run -itd --name telechat -u 0 --ulimit memlock=-1:-1 ms:1.0 /bin/bash --login",
        "run -itdu0 ms:1.0",
        "exec -i telechat python3 --version",
        "stop -t 0 telechat",
        "container inspect telechat",
    ],
)
def test_what_18_09_knows_passes(line: str) -> None:
    assert refusal(line.split()) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run --pull=never -itd ms:1.0", "unknown flag: --pull"),
        ("run -itd --pull never ms:1.0", "unknown flag: --pull"),
        ("run --ulimit nofile=9 --gpus all ms:1.0", "unknown flag: --gpus"),
        ("stop --timeout 3 telechat", "unknown flag: --timeout"),
        ("run -itdq ms:1.0", "unknown shorthand flag: 'q' in -itdq"),
        ("compose up", "docker: 'compose' is not a docker command."),
        ("--colour ps", "unknown flag: --colour"),
    ],
)
def test_what_came_later_is_refused_in_its_words(line: str, said: str) -> None:
    assert str(refusal(line.split())).splitlines()[0] == said
