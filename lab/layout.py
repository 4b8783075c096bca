# SPDX-License-Identifier: Apache-2.0
"""Names, addresses and paths of a lab: everything that can be said without looking at the machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.vendor.faults import POWER_CUT

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_NAME = "telechat"
SUITE = "bookworm"

RUN = Path("/run/telechat-lab")

HUB_ADDRESS = "10.77.0.1"
NETMASK_BITS = 24
FIRST_HOST = 11
MAX_HOSTS = 200
MAX_CHIPS = 16
BRIDGE = "br0"

# Inside a host: what the outside world of hardware looks like, where the MindSpore environment is mounted, and
# the storage that all hosts share.
HARDWARE = "/var/lib/hardware"
STORAGE = "/mnt/shared"
_STORAGE = "storage"
MINDSPORE_ENV = "/opt/mindspore-env"

# One '-' at most: lab-<name>-<host> stays readable, and short names keep the paths of sockets short.
# A name must not end like a host's: lab-x-node0 would be two labs' namespace.
_NAME = re.compile(r"(?!.*-node\d+$)[a-z][a-z0-9]{0,19}(-[a-z0-9]{1,19})?")


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host of a lab."""

    lab: str
    index: int
    folder: Path

    @property
    def name(self) -> str:
        """The host's own name."""
        return f"node{self.index}"

    @property
    def netns(self) -> str:
        """Name of its network namespace."""
        return f"lab-{self.lab}-{self.name}"

    @property
    def address(self) -> str:
        """Address on the lab's bridge."""
        return f"10.77.0.{FIRST_HOST + self.index}"

    @property
    def mac(self) -> str:
        """Fixed, so that a host made anew is not taken for a stranger until ARP forgets."""
        return f"02:77:00:00:00:{FIRST_HOST + self.index:02x}"

    @property
    def hardware(self) -> Path:
        """What is outside its operating system: chips, faults, boot behaviour."""
        return self.folder / "hardware"

    @property
    def faults(self) -> Path:
        """Injected faults: a JSON object, name -> value."""
        return self.hardware / "faults.json"

    @property
    def power_cut(self) -> Path:
        """Made by a host's hardware that asks for a power cut."""
        return self.hardware / POWER_CUT

    @property
    def powered(self) -> Path:
        """There while a light host's power is on, be it that it runs, reboots or is held."""
        return self.folder / "powered"

    @property
    def os_boot(self) -> Path:
        """Written by a light host's operating system when it has booted: its state, as systemd names it."""
        return self.hardware / "os_boot"

    @property
    def unplugged(self) -> Path:
        """There while somebody has unplugged the host's cable."""
        return self.folder / "unplugged"

    @property
    def poor_link(self) -> Path:
        """Identity of the process that is the host's cable while that is a poor one."""
        return self.folder / "poor_link.json"

    @property
    def storage(self) -> Path:
        """What all hosts of the lab share."""
        return self.folder.parent.parent / _STORAGE

    @property
    def upper(self) -> Path:
        """The host's own layer over the base image."""
        return self.folder / "upper"

    @property
    def root(self) -> Path:
        """Mount point of base image and own layer together (in the supervisor's mount namespace only)."""
        return self.folder / "root"

    @property
    def boot_settings(self) -> Path:
        """What the supervisor boots: read again before each boot."""
        return self.folder / "boot.json"

    @property
    def supervisor(self) -> Path:
        """Identity of the supervisor process; light hosts share one, and have this file while their power is on."""
        return self.folder / "supervisor.json"

    @property
    def events(self) -> Path:
        """JSON lines: boots and exits."""
        return self.folder / "events.jsonl"

    @property
    def console(self) -> Path:
        """What the host printed on its console, all boots."""
        return self.folder / "console.log"


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One lab: its name and the folder of its state."""

    name: str
    state: Path

    @property
    def netns(self) -> str:
        """Name of the hub's network namespace."""
        return f"lab-{self.name}"

    @property
    def settings(self) -> Path:
        """What `up` was asked for, written before anything is made."""
        return self.state / "lab.json"

    @property
    def lock(self) -> Path:
        """Held by `up` and `down`, and says where the state is: one name has one set of namespaces on a machine."""
        return RUN / f"{self.name}.lock"

    @property
    def key(self) -> Path:
        """Private SSH key of the control side."""
        return self.state / "key"

    @property
    def connections(self) -> Path:
        """Folder for the sockets of SSH connections that a control side keeps open."""
        return self.state / "cp"

    @property
    def known_hosts(self) -> Path:
        """Host keys of all hosts."""
        return self.state / "known_hosts"

    @property
    def inventory(self) -> Path:
        """Folder with hosts.yml and group_vars."""
        return self.state / "inventory"

    @property
    def share(self) -> Path:
        """Files a site would have on its file server; served as /share/."""
        return self.state / "share"

    @property
    def storage(self) -> Path:
        """What all hosts share, as if served by a network file system."""
        return self.state / _STORAGE

    @property
    def www(self) -> Path:
        """Document root of the file server."""
        return self.state / "www"

    @property
    def supervisor(self) -> Path:
        """Identity of the supervisor of all light hosts."""
        return self.state / "supervisor.json"

    @property
    def bus(self) -> Path:
        """The bus of light hosts that lack no chip, like `/sys/bus`."""
        return self.state / "bus"

    @property
    def server(self) -> Path:
        """Identity of the file server's process."""
        return self.state / "server.json"

    def host(self, index: int) -> Host:
        """Return the host of this index."""
        return Host(lab=self.name, index=index, folder=self.state / "hosts" / f"node{index}")

    def hosts(self, count: int) -> list[Host]:
        """Return the first hosts."""
        return [self.host(index) for index in range(count)]


def find_lab(name: str | None, environment: Mapping[str, str] = os.environ) -> Lab:
    """Return the lab of this name, of LAB_NAME, or the default one.

    Raises LabError for a name that cannot name namespaces and folders, and for a state folder with white space (SSH
    splits UserKnownHostsFile there).
    """
    chosen = name or environment.get("LAB_NAME") or DEFAULT_NAME
    if not _NAME.fullmatch(chosen):
        raise LabError(
            f"lab name {chosen!r}: use a-z, 0-9 and at most one '-' inside, a letter first, up to 20 each, "
            "not '-node0' or the like at the end"
        )
    state = Path(environment.get("LAB_STATE") or "/var/lib/telechat-lab").absolute()
    if re.search(r"\s", str(state)):
        raise LabError(f"LAB_STATE={state}: a path without white space is needed")
    return Lab(name=chosen, state=state / chosen)


def cache_root(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of things that are slow to make."""
    if explicit := environment.get("TELECHAT_CACHE"):
        return Path(explicit).absolute()
    home = environment.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home).absolute() / "telechat-ascend"
