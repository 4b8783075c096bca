# SPDX-License-Identifier: Apache-2.0
"""What a lab consists of: decided at its first `up`, remembered beside its hosts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.layout import MAX_CHIPS, MAX_HOSTS

if TYPE_CHECKING:
    from lab.layout import Host, Lab

DEFAULT_HOSTS = 2
DEFAULT_CHIPS = 8


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a lab consists of."""

    hosts: int
    chips: int
    mindspore: bool
    # What its hosts stand on, by name: folders of the cache that stay the same for the lab's whole life.
    foundation: dict[str, str]
    # Hosts of namespaces with an SSH server each (lab.light) instead of systemd's.
    light: bool = False


def read_settings(lab: Lab) -> Settings | None:
    """Return what the lab was asked to be, None when there is none."""
    try:
        return Settings(**json.loads(lab.settings.read_text()))
    except FileNotFoundError:
        return None


def require(lab: Lab) -> Settings:
    """Return the settings of a lab that is there. Raises LabError when it is not."""
    settings = read_settings(lab)
    if settings is None:
        raise LabError(f"there is no lab {lab.name!r} in {lab.state.parent}: `python3 -m lab up` makes it")
    return settings


def find_host(lab: Lab, name: str) -> Host:
    """Return a host by its name. Raises LabError that lists the names there are."""
    hosts = lab.hosts(require(lab).hosts)
    for host in hosts:
        if host.name == name:
            return host
    raise LabError(f"lab {lab.name!r} has no host {name!r}; it has {', '.join(host.name for host in hosts)}")


def settle(old: Settings | None, *, hosts: int | None, chips: int | None, mindspore: bool, light: bool) -> Settings:
    """Return what the lab shall consist of, given what it does now.

    Hosts may be added to a lab; what would take something from a running one needs `down` first.
    """
    wanted_hosts = hosts if hosts is not None else old.hosts if old else DEFAULT_HOSTS
    wanted_chips = chips if chips is not None else old.chips if old else DEFAULT_CHIPS
    if not 1 <= wanted_hosts <= MAX_HOSTS:
        raise LabError(f"--hosts {wanted_hosts}: a lab has 1 to {MAX_HOSTS} hosts")
    if not 1 <= wanted_chips <= MAX_CHIPS:
        raise LabError(f"--chips {wanted_chips}: a server has 1 to {MAX_CHIPS} chips")
    if old and (wanted_hosts < old.hosts or wanted_chips != old.chips):
        raise LabError(
            f"the lab has {old.hosts} hosts of {old.chips} chips, {wanted_hosts} of {wanted_chips} were asked for: "
            "hosts can be added; for anything else run `python3 -m lab down` first"
        )
    if old and light and not old.light:
        raise LabError(
            "the lab's hosts are systemd's, and all are of one kind: --light needs `python3 -m lab down` first"
        )
    return Settings(
        hosts=wanted_hosts,
        chips=wanted_chips,
        mindspore=mindspore,
        foundation=old.foundation if old else {},
        light=old.light if old else light,
    )
