# SPDX-License-Identifier: Apache-2.0
"""The states that a server's HDK can be in, as data: what was done to a server, with the vendor's own packages.

Versions are meant relative to what the lab's site wants: `wanted`, an older and a newer release. A state's disk is that
of another state and a script over it, which runs in a server that has not booted; what only a running server can be in
comes from a second script that runs after the boot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.vendor.releases import RELEASES

if TYPE_CHECKING:
    from collections.abc import Mapping

# By what they are called in the scripts below.
RELEASE_OF = {"older": "23.0.3", "wanted": "24.1.rc3", "newer": "25.2.0"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A script and the faults that are active while it runs; it has `driver` and `firmware` as commands."""

    script: str
    faults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class State:
    """A state: the disk it starts from, what is done to that, and what is done once it runs."""

    name: str
    summary: str
    on: str | None = None
    disk: Step | None = None
    live: Step | None = None
    # Boot once more after `live`.
    reboot: bool = False


def _installed(release: str) -> Step:
    return Step(script=f"driver {release} --full --install-for-all\nfirmware {release} --full")


def _upgraded(component: str, release: str) -> Step:
    return Step(script=f"{component} {release} --upgrade")


_PREPARED = """\
packages dkms gcc make net-tools pciutils linux-headers-$(uname -r)
groupadd HwHiAiUser
useradd --create-home --gid HwHiAiUser --shell /bin/bash HwHiAiUser
"""
_UNINSTALL = "/usr/local/Ascend/firmware/script/uninstall.sh\n/usr/local/Ascend/driver/script/uninstall.sh"
_ANOTHER_USER = """\
groupadd ascend
useradd --create-home --gid ascend ascend
driver wanted --full --install-username=ascend --install-usergroup=ascend
firmware wanted --full
"""
_ROOT_USER = """\
driver wanted --full --install-username=root --install-usergroup=root --install-for-all
firmware wanted --full
"""
_OTHER_PATH = """\
driver wanted --full --install-for-all --install-path=/opt/Ascend
firmware wanted --full --install-path=/opt/Ascend
"""
# An update of the operating system brought the kernel that runs; the module is that of the one before.
_KERNEL_CAME = """\
before=6.1.0-9-amd64
mkdir -p /usr/lib/modules/$before
mv /usr/lib/modules/$(uname -r)/updates /usr/lib/modules/$before/
mv /var/lib/dkms/davinci_ascend/1.0/$(uname -r) /var/lib/dkms/davinci_ascend/1.0/$before
"""
# Headers were installed for another kernel than the one that runs.
_OTHER_HEADERS = """\
other=/usr/src/linux-headers-6.1.0-9-amd64
cp -r /usr/src/linux-headers-$(uname -r) $other
echo 6.1.0-9-amd64 >$other/include/config/kernel.release
echo '#define UTS_RELEASE "6.1.0-9-amd64"' >$other/include/generated/utsrelease.h
ln -sfn $other /usr/lib/modules/$(uname -r)/build
"""
_DKMS_LEFT = """\
fails driver wanted --full --install-for-all
rm -r /usr/local/Ascend /etc/ascend_install.info
"""

_BARE = (
    State(name="bare", summary="as it comes from the data centre: no packages, no HDK"),
    State(
        name="prepared", summary="OS packages and run user are there, no HDK", on="bare", disk=Step(script=_PREPARED)
    ),
)
_VERSIONS = (
    State(name="same", summary="driver and firmware wanted", on="prepared", disk=_installed("wanted")),
    State(name="older-driver-and-firmware", summary="both older than wanted", on="prepared", disk=_installed("older")),
    State(name="newer-driver-and-firmware", summary="both newer", on="prepared", disk=_installed("newer")),
    State(
        name="older-driver",
        summary="driver older, firmware as wanted",
        on="older-driver-and-firmware",
        disk=_upgraded("firmware", "wanted"),
    ),
    State(
        name="older-firmware",
        summary="firmware older, driver as wanted",
        on="older-driver-and-firmware",
        disk=_upgraded("driver", "wanted"),
    ),
    State(
        name="newer-driver", summary="driver newer, firmware as wanted", on="same", disk=_upgraded("driver", "newer")
    ),
    State(
        name="newer-firmware",
        summary="firmware newer, driver as wanted",
        on="same",
        disk=_upgraded("firmware", "newer"),
    ),
    State(
        name="older-driver-newer-firmware",
        summary="driver older, firmware newer",
        on="older-driver-and-firmware",
        disk=_upgraded("firmware", "newer"),
    ),
    State(
        name="newer-driver-older-firmware",
        summary="driver newer, firmware older",
        on="older-driver-and-firmware",
        disk=_upgraded("driver", "newer"),
    ),
    State(
        name="driver-without-firmware",
        summary="driver wanted, no firmware package; the chips run what the factory flashed",
        on="prepared",
        disk=Step(script="driver wanted --full --install-for-all"),
    ),
)
_PENDING = (
    State(
        name="firmware-not-running",
        summary="firmware wanted is on disk and in flash, the chips run the older one: a reboot is owed",
        on="older-firmware",
        live=_upgraded("firmware", "wanted"),
    ),
    State(
        name="driver-not-running",
        summary="driver wanted is on disk, the kernel has the older one: a reboot is owed",
        on="older-driver",
        live=Step(script="code 2 driver wanted --upgrade", faults={"hot_reset_failure": True}),
    ),
    State(
        name="one-chip-behind",
        summary="chip 1 was not flashed: it runs the older firmware, all others the one wanted",
        on="older-firmware",
        live=Step(script="firmware wanted --upgrade", faults={"firmware_chip_skipped": 1}),
        reboot=True,
    ),
    State(
        name="uninstalled-not-rebooted",
        summary="driver and firmware uninstalled, the kernel still has the driver",
        on="same",
        live=Step(script=_UNINSTALL, faults={"hot_reset_failure": True}),
    ),
    State(
        name="device-busy",
        summary="both older, a process has /dev/davinci1 open",
        on="older-driver-and-firmware",
        live=Step(script="nohup sleep infinity </dev/davinci1 >/dev/null 2>&1 &"),
    ),
)
_BROKEN = (
    State(
        name="half-installed-driver",
        summary="power was cut in a first installation of the driver wanted",
        on="prepared",
        disk=Step(script="fails driver wanted --full --install-for-all", faults={"driver_power_cut": True}),
    ),
    State(
        name="half-upgraded-driver",
        summary="power was cut in the upgrade from the older driver to the one wanted",
        on="older-driver-and-firmware",
        disk=Step(script="fails driver wanted --upgrade", faults={"driver_power_cut": True}),
    ),
    State(
        name="half-firmware",
        summary="the installer of the firmware wanted died with half of the chips flashed, then a boot",
        on="older-firmware",
        live=Step(script="fails firmware wanted --upgrade", faults={"firmware_power_cut": True}),
        reboot=True,
    ),
    State(
        name="failed-build",
        summary="the module of the driver wanted did not build: files of the driver, a leftover DKMS tree",
        on="prepared",
        disk=Step(script="fails driver wanted --full --install-for-all", faults={"dkms_failure": True}),
    ),
    State(
        name="dkms-leftover",
        summary="the same, and somebody removed the driver's folder by hand: /var/lib/dkms/davinci_ascend is left",
        on="prepared",
        disk=Step(script=_DKMS_LEFT, faults={"dkms_failure": True}),
    ),
    State(
        name="removed-by-hand",
        summary="somebody removed /usr/local/Ascend: module, units and ascend_install.info are left",
        on="older-driver-and-firmware",
        disk=Step(script="rm -r /usr/local/Ascend"),
    ),
    State(
        name="no-module-for-kernel",
        summary="driver and firmware wanted, the module was built for the kernel before an OS update",
        on="same",
        disk=Step(script=_KERNEL_CAME),
    ),
    State(
        name="other-headers",
        summary="no HDK, and the headers are those of another kernel than the one that runs",
        on="prepared",
        disk=Step(script=_OTHER_HEADERS),
    ),
    State(
        name="npu-smi-folder",
        summary="no HDK, and a container's mount has made a folder of /usr/local/sbin/npu-smi",
        on="prepared",
        disk=Step(script="mkdir -p /usr/local/sbin/npu-smi"),
    ),
)
_FOREIGN = (
    State(
        name="other-user", summary="installed for the user ascend alone", on="prepared", disk=Step(script=_ANOTHER_USER)
    ),
    State(name="root-user", summary="installed for root", on="prepared", disk=Step(script=_ROOT_USER)),
    State(name="other-path", summary="installed by hand in /opt/Ascend", on="prepared", disk=Step(script=_OTHER_PATH)),
)

STATES = {state.name: state for state in (*_BARE, *_VERSIONS, *_PENDING, *_BROKEN, *_FOREIGN)}


def listing() -> str:
    """Return a line for each state."""
    width = max(map(len, STATES))
    wanted = {word: f"{release} / {RELEASES[release].firmware}" for word, release in RELEASE_OF.items()}
    head = f"driver / firmware: {', '.join(f'{word} {versions}' for word, versions in wanted.items())}"
    return "\n".join([head, *(f"{state.name:{width}}  {state.summary}" for state in STATES.values())])
