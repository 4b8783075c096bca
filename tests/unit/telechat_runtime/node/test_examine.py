# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tests.support.local_node import LocalNode


def test_only_the_sections_that_were_asked_for(node: LocalNode) -> None:
    answered = node.call("examine", job_root=str(node.job_root), sections=["probe", "jobs"])
    assert answered.exit_code == 0
    assert set(answered.document) == {"probe", "jobs", "clock"}
    assert answered.document["jobs"] == {"lease": None, "service": None, "jobs": []}
    assert answered.document["probe"]["job_root"] == str(node.job_root)


def test_a_place_without_chips_says_so(node: LocalNode) -> None:
    chips = node.call("examine", job_root=str(node.job_root), sections=["chips"]).document["chips"]
    assert chips == {"program": None, "error": "there is no npu-smi", "chips": [], "boards": []}


def test_an_unknown_section_is_an_error(node: LocalNode) -> None:
    answered = node.call("examine", job_root=str(node.job_root), sections=["probe", "fans"])
    assert answered.exit_code == 2
    assert (
        "sections has 'fans'; there are versions, probe, jobs, chips, kernels, hccn, pings,"
        in answered.document["error"]["message"]
    )
