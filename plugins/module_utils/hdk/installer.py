# SPDX-License-Identifier: Apache-2.0
"""How Huawei's .run installers are called and what their answers mean. Pure.

Return codes as the driver's install.sh documents them: 0 installed and hot reset done, 1 failed, 2 installed but hot
reset failed, so that a reboot is due. The firmware's installer is taken to mean the same (unverified; its firmware runs
after a reboot anyway).
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional

from ansible.module_utils.hdk.state import DRIVER, INSTALL

DEFAULT_USER = "HwHiAiUser"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROGRESS = re.compile(r"upgradePercentage:\s*(\d+)%")


class Outcome(NamedTuple):
    """What an installer's end means: done or not, whether a reboot is due, and a failure's cause and remedy."""

    succeeded: bool
    reboot_required: bool
    cause: str
    next_step: str


class KnownFailure(NamedTuple):
    """A text of the installers, what it means and what helps."""

    pattern: str
    cause: str
    next_step: str


KNOWN_FAILURES = (
    KnownFailure(
        r"HwHiAiUser not exists|ERR_NO:0x0091.*not exists",
        "the installer's run user does not exist",
        "create the group and user of ascend_hdk_user, or let the role do it",
    ),
    KnownFailure(
        r"ERR_NO:0x0091.*not permission for root",
        "a driver is installed already, for root",
        "uninstall it with playbooks/uninstall.yml, or set ascend_hdk_foreign_installation: reinstall; then run again",
    ),
    KnownFailure(
        r"ERR_NO:0x0095",
        "the installed driver belongs to another user",
        "set ascend_hdk_user as in /etc/ascend_install.info, or ascend_hdk_foreign_installation: reinstall",
    ),
    KnownFailure(
        r"ERR_NO:0x0096", "the run user is not in its group", "usermod -aG the group of ascend_hdk_user, then run again"
    ),
    KnownFailure(r"ERR_NO:0x0093", "the installer needs root", "set ansible_become: true for this host"),
    KnownFailure(r"ERR_NO:0x0094", "another installer runs on this host", "wait for it to end, then run again"),
    KnownFailure(
        r"ERR_NO:0x0004",
        "the installer refused its options",
        "compare the package's release with the ones this role knows",
    ),
    KnownFailure(
        r"free space only (?P<detail>\d+M)",
        "too little disk space is left",
        "free 512 MiB below /usr/local and in /tmp, then run again",
    ),
    KnownFailure(
        r"missing tools: (?P<detail>[^\n]*?),?\s*$",
        "the host lacks tools of the installer",
        "add their packages to ascend_hdk_os_packages (lspci is in pciutils, ifconfig in net-tools)",
    ),
    KnownFailure(
        r"Dkms install failed|Driver_ko_install failed",
        "the driver's modules could not be built for this kernel",
        "read /var/log/ascend_seclog/ascend_install.log, check headers and gcc, remove a leftover"
        " /var/lib/dkms/davinci_ascend, then run again",
    ),
    KnownFailure(
        r"davinci nodes are occupied",
        "processes use the NPUs",
        "stop jobs and containers that have /dev/davinci* open, then run again",
    ),
    KnownFailure(
        r"package version=(?P<detail>\S+ is earlier than the device flash hardware version=\S+)",
        "the package is older than the chips' flash allows",
        "set ascend_hdk_release to that version or a newer one",
    ),
    KnownFailure(
        r"The driver version (?P<detail>\S+) is not allowed in this device",
        "the chips do not take this version",
        'set ascend_hdk_release to the version that the installer asks for ("please use" in its log), or a newer one',
    ),
    KnownFailure(
        r"ERR_NO:0x0080",
        "nothing is installed that could be uninstalled",
        "compare /etc/ascend_install.info with what is below /usr/local/Ascend",
    ),
    KnownFailure(
        r"ERR_NO:0x0090",
        "the driver could not be uninstalled",
        "read /var/log/ascend_seclog/ascend_install.log, stop what uses the NPUs, reboot and run again",
    ),
    KnownFailure(
        r"please retry after uninstall and reboot",
        "the installer could not go over what is installed",
        "uninstall it with playbooks/uninstall.yml, then run again",
    ),
    KnownFailure(
        r"Device startup (?P<detail>fail|timeout)",
        "the chips did not start after their hot reset",
        "reboot the server, then run again",
    ),
)

# What the installer warns of when hot reset went wrong; only a boot starts the chips then.
_NOT_STARTED = re.compile(r"Device startup (?:fail|timeout)")
_REBOOT_NEEDED = re.compile(r"reboot needed", re.IGNORECASE)
_NOT_INSTALLED = "ERR_NO:0x0080"
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
    """Tell what an installer's return code and output mean."""
    text = _COLOUR.sub("", output)
    if rc in (0, 2):
        asks = rc == 2 or bool(_REBOOT_NEEDED.search(text) or _NOT_STARTED.search(text))  # noqa: PLR2004 (docstring)
        return Outcome(succeeded=True, reboot_required=asks, cause="", next_step="")
    return _failure(rc, text)


def judge_uninstall(rc: int, output: str) -> Outcome:
    """Tell what an uninstall script's return code and output mean; what is absent already, is uninstalled."""
    text = _COLOUR.sub("", output)
    if rc == 0 or _NOT_INSTALLED in text:
        asks = bool(_REBOOT_NEEDED.search(text))
        return Outcome(succeeded=True, reboot_required=asks, cause="", next_step="")
    return _failure(rc, text)


def refuses_options(output: str) -> bool:
    """Tell whether the script does not take the options it was given."""
    return _OPTIONS_REFUSED in output


def _failure(rc: int, text: str) -> Outcome:
    for failure in KNOWN_FAILURES:
        match = re.search(failure.pattern, text, re.MULTILINE)
        if match:
            detail = match.groupdict().get("detail")
            cause = f"{failure.cause} ({detail})" if detail else failure.cause
            return Outcome(succeeded=False, reboot_required=False, cause=cause, next_step=failure.next_step)
    return Outcome(
        succeeded=False,
        reboot_required=False,
        cause=f"the installer ended with {rc}: {last_line(text)}",
        next_step="read /var/log/ascend_seclog/ascend_install.log on the host",
    )


def progress(output: str) -> Optional[int]:
    """Return the last percentage an installer printed, or None before the first."""
    found = _PROGRESS.findall(output)
    return int(found[-1]) if found else None


def last_line(output: str) -> str:
    """Return the last line that says something, without colours."""
    lines = [line.strip() for line in _COLOUR.sub("", output).splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
