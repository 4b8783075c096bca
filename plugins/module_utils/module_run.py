# SPDX-License-Identifier: Apache-2.0
"""Run commands for a look or a step through AnsibleModule."""

from __future__ import annotations

import os
from typing import Any, List

from ansible.module_utils.command_result import Result, Run

RC_MISSING_PROGRAM = 127


def runner(module: Any) -> Run:
    """Return a Run over ``module.run_command``: never raises, a missing program answers rc 127."""

    def run(argv: List[str]) -> Result:
        if os.path.isabs(argv[0]) and not os.path.exists(argv[0]):
            return Result(RC_MISSING_PROGRAM, "", f"{argv[0]} is not installed")
        try:
            rc, stdout, stderr = module.run_command(argv, handle_exceptions=False)
        except OSError as error:
            return Result(RC_MISSING_PROGRAM, "", str(error))
        return Result(rc, stdout, stderr)

    return run
