# SPDX-License-Identifier: Apache-2.0
"""Run a command of the host: the `run` that looks and steps are given in production."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import Dict, List

from ansible.module_utils.command_result import Result

# npu-smi hangs on a chip whose driver does; a look must end all the same.
TIMEOUT_SECONDS = 120
_DEATH_SECONDS = 5
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

NOT_FOUND = 127
TIMED_OUT = 124


def run_on_host(argv: List[str], timeout: float = TIMEOUT_SECONDS) -> Result:
    """Run argv without a shell and without stdin, in the C locale, with the system's folders on PATH.

    A command that gives no answer in time is killed, but not waited for: one that hangs in a driver does not die.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=system_environment(),
        )
    except OSError as error:
        return Result(NOT_FOUND, "", str(error))
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_DEATH_SECONDS)
        return Result(TIMED_OUT, "", f"{argv[0]} gave no answer within {timeout:.0f} s")
    return Result(process.returncode, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))


def system_environment() -> Dict[str, str]:
    """Return this process's environment with the C locale and a PATH that has the administrator's folders.

    sudo and a shell without login leave /usr/local/sbin out of PATH, where npu-smi is.
    """
    path = os.environ.get("PATH", "").split(os.pathsep)
    path += [folder for folder in _SYSTEM_FOLDERS if folder not in path]
    return dict(os.environ, PATH=os.pathsep.join(filter(None, path)), LC_ALL="C")
