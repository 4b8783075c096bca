# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.ascend.run_check import FAILED, judge_mindformers


@pytest.mark.parametrize("mark", FAILED)
def test_a_failed_part_outweighs_the_exit_code_and_what_is_printed_after_it(mark: str) -> None:
    text = f"{mark} because\nThe installed software are unmatched but all checks passed in 12 seconds"
    assert judge_mindformers(0, text) == ("mindformers", False, f"mindformers.run_check() failed: {mark} because")
