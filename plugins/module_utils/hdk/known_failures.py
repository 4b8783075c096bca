# SPDX-License-Identifier: Apache-2.0
"""What the installers' error texts mean, and what helps. Pure.

From the driver's public scripts (26.1, both variants) and field logs of older releases. Error codes are reused for
unlike causes, so rows match a code together with its text. The first row that matches wins: specific ones come first.
"""

from __future__ import annotations

import re
from typing import Dict, NamedTuple, Optional, Sequence

from ansible.module_utils.hdk.tool_packages import where_to_get

_LOG = "/var/log/ascend_seclog/ascend_install.log"


class KnownFailure(NamedTuple):
    """A text of the installers, what it means and what helps.

    A group `detail` adds to the meaning; a group `tools` names missing tools, whose packages then begin the next step.
    """

    pattern: str
    cause: str
    next_step: str


class Explained(NamedTuple):
    """Which line of an output was understood, what it means and what helps."""

    line: str
    cause: str
    next_step: str


KNOWN_FAILURES = (
    # Whom it is installed for.
    KnownFailure(
        r"ERR_NO:0x0091.*not permission for root",
        "a driver is installed already, for root",
        "uninstall it with playbooks/uninstall.yml, or set ascend_hdk_foreign_installation: reinstall; then run again",
    ),
    KnownFailure(
        r"ERR_NO:0x0091.*(?:not exists|is empty)|HwHiAiUser not exists",
        "the installer's run user or group does not exist",
        "create the group and user of ascend_hdk_user, or let the role do it",
    ),
    KnownFailure(
        r"ERR_NO:0x0095.*(?:user and group|path)",
        "the installed driver belongs to another user or folder",
        "set ascend_hdk_user as in /etc/ascend_install.info, or ascend_hdk_foreign_installation: reinstall",
    ),
    KnownFailure(
        r"ERR_NO:0x0096.*relatianship",
        "the run user is not in its group",
        "usermod -aG the group of ascend_hdk_user, then run again",
    ),
    KnownFailure(r"ERR_NO:0x0093|not have root permission", "the installer needs root", "set ansible_become: true"),
    # What else is there.
    KnownFailure(
        r"ERR_NO:0x0094.*all-in-one",
        "an all-in-one package of an older release is installed (/etc/HiAI_install.info)",
        "uninstall it with its own script, remove /etc/HiAI_install.info, then run again",
    ),
    KnownFailure(
        r"ERR_NO:0x0094.*already a process", "another installer runs on this host", "wait for it to end, then run again"
    ),
    KnownFailure(
        r"davinci nodes are occupied",
        "processes or containers use the NPUs",
        "stop jobs, and every container that names /dev/davinci_manager, even an idle one, then run again",
    ),
    # Paths.
    KnownFailure(
        r"ERR_NO:0x0003.*do not have the permission to access (?P<detail>\S+?),?(?:\s|$)",
        "the run user may not enter the install path",
        "chmod 755 that folder and its parents (a umask of 077 makes them 0700), then run again",
    ),
    KnownFailure(
        r"should belong to root|permis+ion not right",
        "a parent folder of the install path does not belong to root",
        "chown root:root /usr/local and /usr/local/Ascend, then run again",
    ),
    KnownFailure(
        r"permission is too small",
        "a parent folder of the install path is closed to others",
        "chmod 755 /usr/local and /usr/local/Ascend, then run again",
    ),
    KnownFailure(
        r"permission is invalid",
        "others than root may write to the install path or one of its parents",
        "chmod 755 /usr/local and /usr/local/Ascend, then run again",
    ),
    KnownFailure(
        r"ERR_NO:0x0003.*parameter docker",
        "the installer refused its options: docker is for containers",
        "compare the package's release with the ones this role knows",
    ),
    KnownFailure(
        r"ERR_NO:0x0003.*(?:path|characters)|[Rr]elative path .* doesn't exist",
        "the installer refuses the install path",
        "compare Driver_Install_Path_Param in /etc/ascend_install.info with the folders that are there",
    ),
    KnownFailure(
        r"ERR_NO:0x0004|doesn't support\.|input the right params|[Nn]ot support install with",
        "the installer refused its options",
        "compare the package's release with the ones this role knows",
    ),
    KnownFailure(
        r"ERR_NO:0x0002|ERROR\]Risks exist when the install type is debug",
        "the installer asked a question that nobody answered",
        "compare the package's release with the ones this role knows: --quiet answers in those",
    ),
    # The server.
    KnownFailure(
        r"free space only (?P<detail>\d+M?)",
        "too little disk space is left",
        "free 512 MiB below /usr/local and in the package folder, then run again",
    ),
    KnownFailure(
        r"missing tools: (?P<tools>[^\n]*?),?\s*$",
        "the host lacks tools of the installer",
        "or add them to ascend_hdk_os_packages, then run again",
    ),
    KnownFailure(
        r"Extraction failed|tar: (?:command )?not found",
        "the package could not be unpacked",
        "install tar and gzip, look at the free space of the package folder, then run again",
    ),
    KnownFailure(
        r"install\.sh: Permission denied",
        "the package was unpacked where nothing may be executed",
        "set ascend_hdk_staging_dir to a folder on a file system without noexec, then run again",
    ),
    KnownFailure(
        r"Arch mismatch|does not match the architecture",
        "the package is for another architecture",
        "put the package for this server's architecture into ascend_hdk_package_dir, run playbooks/hdk_lock.yml",
    ),
    KnownFailure(
        r"package and environment is not match|does not support debug install type|is 310B EP",
        "the package is for other chips than this server's",
        "compare lspci -n -d 19e5: with the package's name, set ascend_hdk_release to a package for these chips",
    ),
    # Versions that the chips or what runs does not take.
    KnownFailure(
        r"package version=(?P<detail>\S+ is earlier than the device flash hardware version=\S+)",
        "the package is older than the chips' flash allows",
        "set ascend_hdk_release to that version or a newer one",
    ),
    KnownFailure(
        r"Version check does not match, please use (?:version )?(?P<detail>a newer version|\S+)",
        "the package is older than the chips allow; nothing was changed",
        "set ascend_hdk_release to the version that the installer asks for, or a newer one",
    ),
    KnownFailure(
        r"The driver version (?P<detail>\S+) is not allowed in this device",
        "the chips do not take this version",
        'set ascend_hdk_release to the version that the installer asks for ("please use" in its log), or a newer one',
    ),
    KnownFailure(
        r"Required \w+ version crc error",
        "the version that the chips' flash asks for is damaged",
        "write the firmware of the wanted release again, reboot, and have the card replaced if it stays",
    ),
    KnownFailure(
        r"Driver upgrade failed",
        "the installed driver's own check refused the package; nothing was changed",
        f"read {_LOG}, and set ascend_hdk_release to a newer release",
    ),
    KnownFailure(
        r"Download and install the 23\.0\.RC1 driver package",
        "the chips' firmware is too old for this driver in one step",
        "bring the server to HDK 23.0.rc1 first (ascend_hdk_release), then to the wanted release",
    ),
    KnownFailure(
        r"[Vv]ersion (?:compatib\w+|relationship) check fail",
        "driver and firmware do not belong together",
        "take driver and firmware of one HDK release: leave ascend_hdk_firmware_version empty",
    ),
    # Signatures.
    KnownFailure(
        r"signature mode used by the software is inconsistent",
        "the package's signature mode is not the one that this server is configured for (/etc/pss.cfg)",
        "take a package of that signature mode, or change /etc/pss.cfg with the vendor's manual, then run again",
    ),
    KnownFailure(
        r"Device_images_crl_check failed|PSS signature verification failed",
        "the signature or revocation list of the chips' images was refused",
        f"read {_LOG}: the package may be older than the installed revocation list; take a newer one",
    ),
    # The middle of an installation.
    KnownFailure(
        r"Dkms install failed|Driver_ko_install failed",
        "the driver's modules could not be built for this kernel",
        f"read {_LOG}, check headers and gcc, remove a leftover /var/lib/dkms/davinci_ascend, then run again",
    ),
    KnownFailure(
        r"Drv_dkms_env_check failed",
        "the driver's modules can't be built: DKMS, gcc, headers or devel files of the running kernel are missing",
        "install dkms, gcc, make, and headers and devel files of exactly `uname -r`, then run again",
    ),
    KnownFailure(
        r"Driver_ko_install_manually failed",
        "the driver's modules do not load",
        "read dmesg: Secure Boot wants a signed module, `modinfo -F vermagic` must name the running kernel",
    ),
    KnownFailure(
        r"Drv_file_copy failed",
        "the driver's files could not be copied",
        "lsattr -R /usr/local/Ascend /usr/bin/device_boot_init.sh: take immutable flags away with chattr -R -i, look at"
        " the free space, then run again",
    ),
    KnownFailure(
        r"Set boot-items failed",
        "the driver could not be set to start at boot",
        "look at /etc/init.d/host_sys_init.sh and at update-rc.d or chkconfig, then run again",
    ),
    KnownFailure(
        r"Pcie_load_path_set failed|Device_pcie_load_file_rename failed|load file\(.*\) is missing",
        "the images that the chips load are incomplete or in another place",
        f"read {_LOG}, look at the free space of /usr/local and at /lib/davinci.conf, then run again",
    ),
    KnownFailure(
        r"Device startup (?P<detail>fail|timeout|abnormal)",
        "the chips did not start after their hot reset",
        "reboot the server, then run again",
    ),
    # Uninstalling.
    KnownFailure(
        r"ERR_NO:0x0080.*run_driver_uninstall\.sh does not existed",
        "the driver's uninstall script is incomplete",
        "install the same driver again, or remove what is left with playbooks/uninstall.yml, then run again",
    ),
    KnownFailure(
        r"ERR_NO:0x0080.*reboot is recommended",
        "the driver's live patch was removed, the driver was not: the NPUs are in use",
        "stop what uses the NPUs, reboot, then run again",
    ),
    KnownFailure(
        r"ERR_NO:0x0080.*is not installed",
        "nothing is installed that could be uninstalled",
        "compare /etc/ascend_install.info with what is below /usr/local/Ascend",
    ),
    KnownFailure(
        r"ERR_NO:0x0089",
        "the run user's shell settings could not be changed",
        "look at .bashrc in the home folder of ascend_hdk_user, then run again",
    ),
    KnownFailure(
        r"DKMS check and uninstall time.* out",
        "dkms took too long to remove the old modules",
        "wait until no dkms process runs, then run again",
    ),
    KnownFailure(
        r"ERR_NO:0x0090.*uninstall driver failed",
        "the driver could not be uninstalled",
        f"read {_LOG}, stop what uses the NPUs, reboot and run again",
    ),
)


def explain(lines: Sequence[str]) -> Optional[Explained]:
    """Return what the first row says that matches one of the lines, or None."""
    for failure in KNOWN_FAILURES:
        for line in lines:
            match = re.search(failure.pattern, line)
            if match:
                return _explained(failure, line, match.groupdict())
    return None


def _explained(failure: KnownFailure, line: str, groups: Dict[str, Optional[str]]) -> Explained:
    tools = groups.get("tools")
    if tools:
        return Explained(line, f"{failure.cause} ({tools})", f"{where_to_get(tools)}, {failure.next_step}")
    detail = groups.get("detail")
    return Explained(line, f"{failure.cause} ({detail})" if detail else failure.cause, failure.next_step)
