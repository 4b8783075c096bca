# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.errors import SpecError
from telechat_runtime.finetune_spec import FinetuneSpec


@pytest.mark.parametrize("option", ["dataset", "checkpoint"])
def test_relative_paths_are_refused(option: str) -> None:
    with pytest.raises(SpecError, match=f"--{option} 'data' is a relative path"):
        FinetuneSpec(**{option: "data"})
