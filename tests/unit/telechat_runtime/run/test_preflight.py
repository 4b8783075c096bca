# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from telechat_runtime.job.identity import new_job_id, whoami
from telechat_runtime.job.paths import JOB_ID
from telechat_runtime.training.shipped import shipped_configs


def test_job_ids_are_new_and_valid() -> None:
    ids = {new_job_id("a" * 32), new_job_id("a" * 32)}
    assert len(ids) == 2
    assert all(JOB_ID.fullmatch(job_id) for job_id in ids)
    assert re.fullmatch(r".+@.+", whoami())


def test_where_a_tree_may_keep_a_models_yaml() -> None:
    assert shipped_configs("/tree", "finetune", "7b") == [
        "/tree/research/telechat2/finetune_telechat_7b.yaml",
        "/tree/research/telechat2/telechat2-7b/finetune_telechat_7b.yaml",
    ]
    assert "/tree/research/telechat2/finetune_telechat_39b_a12b.yaml" in shipped_configs(
        "/tree", "finetune", "39b-a12b"
    )
    with pytest.raises(ValueError, match="'8b' is no model"):
        shipped_configs("/tree", "finetune", "8b")
