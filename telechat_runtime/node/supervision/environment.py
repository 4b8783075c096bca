# SPDX-License-Identifier: Apache-2.0
"""The environment of a job's processes: this one, then the script's, then the plan's PATH folders and variables."""

from __future__ import annotations

import os
import subprocess
from typing import Any, Dict, List

from telechat_runtime.errors import PreflightError
from telechat_runtime.node.supervision.processes import JOB_ID_VARIABLE, end_job

_SCRIPT_SECONDS = 60
_NEXT_STEP = "check telechat_env_script"


def job_environment(request: Dict[str, Any]) -> Dict[str, str]:
    """Return the environment that the request to start asks for.

    Raises:
        PreflightError: The script can't be sourced, fails, ends its shell, or takes longer than a minute.

    """
    job_id = request["job_id"]
    # Set before the script runs too: what it leaves behind is the job's, and ends with it.
    environment = {**os.environ, JOB_ID_VARIABLE: job_id}
    if request.get("env_script"):
        environment = _source(os.path.expanduser(request["env_script"]), environment)
    folders: List[str] = [os.path.expanduser(folder) for folder in request.get("path", [])]
    environment["PATH"] = ":".join([*folders, environment.get("PATH", os.defpath)])
    for name, value in request["env"].items():
        if value is None:
            environment.pop(name, None)
        elif name == "PYTHONPATH":
            # CANN's script puts its own packages there: the plan's folders go before them.
            environment[name] = ":".join(filter(None, [value, environment.get(name)]))
        else:
            environment[name] = value
    environment[JOB_ID_VARIABLE] = job_id
    return environment


def _source(script: str, environment: Dict[str, str]) -> Dict[str, str]:
    """Return the environment that a shell has after sourcing the script."""
    argv = ["bash", "-c", 'source "$1" >&2 && env -0', "source", script]
    try:
        result = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SCRIPT_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        end_job(environment[JOB_ID_VARIABLE], 0)
        reason = f"not done after {_SCRIPT_SECONDS} s" if isinstance(error, subprocess.TimeoutExpired) else error
        raise PreflightError(f"{script} can't be sourced: {reason}", next_step=_NEXT_STEP) from error
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        why = " ".join(said) or f"it returned {result.returncode}"
        raise PreflightError(f"sourcing {script} failed: {why}", next_step=_NEXT_STEP)
    if not result.stdout:
        raise PreflightError(f"{script} ends the shell that sources it (exit)", next_step=_NEXT_STEP)
    pairs = (word.partition("=") for word in os.fsdecode(result.stdout).split("\0") if word)
    return {name: value for name, _, value in pairs}
