# SPDX-License-Identifier: Apache-2.0
"""How Huawei's .run installers are called and what their answers mean. Pure.

Return codes as the driver's install.sh documents them: 0 installed and hot reset done, 1 failed, 2 installed but hot
reset failed, so that a reboot is due. The firmware's installer is taken to mean the same (unverified; its firmware runs
after a reboot anyway).
"""

from __future__ import annotations

import contextlib
import re
import signal
from typing import List, NamedTuple, Optional, Sequence

from ansible.module_utils.hdk.known_failures import explain
from ansible.module_utils.hdk.state import DRIVER, INSTALL

DEFAULT_USER = "HwHiAiUser"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What stands before the level: `[Driver] [2025-07-17 10:36:24] `.
_PREFIX = re.compile(r"^(?:\[(?!INFO|WARNING|ERROR)[^\]]*\]\s*)+")
_SILENT = "it named no cause"
_READ_LOG = "read /var/log/ascend_seclog/ascend_install.log on the host"
# A shell's return code for a process that a signal ended: 128 and its number.
_KILLED = 128
_PROGRESS = re.compile(r"upgradePercentage:\s*(\d+)%")
_OCCUPIED = "davinci nodes are occupied"


class Outcome(NamedTuple):
    """What an installer's end means: done or not, whether a reboot is due, and a failure's cause and remedy."""

    succeeded: bool
    reboot_required: bool
    cause: str
    next_step: str


# What the installer warns of when hot reset went wrong; only a boot starts the chips then.
_NOT_STARTED = re.compile(r"Device startup (?:fail|timeout|abnormal)|check after reboot")
_REBOOT_NEEDED = re.compile(r"reboot needed", re.IGNORECASE)
# The installers end with 0 (an all-in-one package is there) and makeself with 2 though nothing was done.
_INSTALLED = re.compile(r"package (?:installed|upgraded|install|upgrade) (?:successfully|finished)")
_UNINSTALLED = re.compile(r"uninstalled (?:successfully|finished)")
# The code alone says nothing: the driver's own script gives it for failures.
_NOT_INSTALLED = re.compile(r"ERR_NO:0x0080.*package is not installed on this device")
_OPTIONS_REFUSED = "ERR_NO:0x0004"


def installer_argv(package: str, component: str, action: str, user: str, group: str) -> List[str]:
    """Return the command of one step; --quiet, as the installer else waits for an answer on stdin.

    The run user is named only where the installer takes it: not with --upgrade, and not for the firmware.
    """
    argv = [package, "--full" if action == INSTALL else "--upgrade"]
    if component == DRIVER and action == INSTALL:
        argv.append("--install-for-all")
        if (user, group) != (DEFAULT_USER, DEFAULT_USER):
            argv += [f"--install-username={user}", f"--install-usergroup={group}"]
    return [*argv, "--quiet"]


def judge(rc: int, output: str) -> Outcome:
    """Return what an installer's return code and output mean; without its word of success nothing was installed."""
    text = _COLOUR.sub("", output)
    if rc in (0, 2) and _INSTALLED.search(text):
        asks = rc == 2 or bool(_REBOOT_NEEDED.search(text) or _NOT_STARTED.search(text))  # noqa: PLR2004 (docstring)
        return Outcome(succeeded=True, reboot_required=asks, cause="", next_step="")
    return judge_failure(rc, text)


def judge_uninstall(rc: int, output: str) -> Outcome:
    """Return what an uninstall script's return code and output mean; what is absent already, is uninstalled."""
    text = _COLOUR.sub("", output)
    if (rc == 0 and _UNINSTALLED.search(text)) or _NOT_INSTALLED.search(text):
        asks = bool(_REBOOT_NEEDED.search(text))
        return Outcome(succeeded=True, reboot_required=asks, cause="", next_step="")
    return judge_failure(rc, text)


def refuses_options(output: str) -> bool:
    """Return whether the script does not take the options it was given."""
    return _OPTIONS_REFUSED in output


def refuses_holders(output: str) -> bool:
    """Return whether an installer refused, before it changed anything, because something uses the driver."""
    return _OCCUPIED in output


def judge_failure(rc: int, output: str) -> Outcome:
    """Return the cause of a failure, in the installer's own words and with their meaning, and what helps."""
    text = _COLOUR.sub("", output)
    lines = [_PREFIX.sub("", line.strip()) for line in text.splitlines() if line.strip()]
    # An [INFO] is never a cause: the last one of every failure names the time, the one before advises to uninstall.
    told = [line for line in lines if not line.startswith("[INFO]")]
    explained = explain(list(reversed(told)))
    if explained is None:
        cause, next_step = f"the installer {_ended(rc)}: {_last_complaint(lines) or _SILENT}", _READ_LOG
    else:
        cause, next_step = f"{explained.cause}: {explained.line}", explained.next_step
    return Outcome(succeeded=False, reboot_required=False, cause=cause, next_step=next_step)


def _last_complaint(lines: Sequence[str]) -> str:
    """Return the last error line, else the last warning, else the last line without a level; empty without any."""
    for levels in (("[ERROR]", "ERR_NO:"), ("[WARNING]",)):
        found = [line for line in lines if line.startswith(levels)]
        if found:
            return found[-1]
    return ([line for line in lines if not line.startswith("[")] or [""])[-1]


def _ended(rc: int) -> str:
    number = -rc if rc < 0 else rc - _KILLED
    if 0 < number < signal.NSIG:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(number).name}"
    return f"ended with {rc}"


def progress(output: str) -> Optional[int]:
    """Return the last percentage an installer printed, or None before the first."""
    found = _PROGRESS.findall(output)
    return int(found[-1]) if found else None
