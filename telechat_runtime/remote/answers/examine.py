# SPDX-License-Identifier: Apache-2.0
"""The answer to `node examine`, section by section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

from telechat_runtime.remote.answers.jobs import StatusAnswer
from telechat_runtime.remote.answers.probe import Chips, ProbeAnswer, ServiceAnswer
from telechat_runtime.versions.matrix import Versions


@dataclass(frozen=True)
class Runtime:
    """The node's runtime: its version, and the checksum of its zipapp if it is one."""

    version: str
    sha256: Optional[str]


@dataclass(frozen=True)
class VersionsAnswer:
    """What is installed on a node."""

    versions: Versions
    runtime: Runtime


@dataclass(frozen=True)
class Kernels:
    """The running kernel, the installed ones, oldest first, and those with a module of the driver."""

    running: str
    installed: Tuple[str, ...]
    with_module: Tuple[str, ...]


@dataclass(frozen=True)
class HccnDevice:
    """What hccn_tool says of an NPU; None for what it does not say."""

    device: int
    address: Optional[str]
    link: Optional[str]
    net_health: Optional[str]
    tls: Optional[str]


@dataclass(frozen=True)
class Hccn:
    """What hccn_tool says of every NPU; `program` is where it is, if anywhere."""

    program: Optional[str]
    devices: Tuple[HccnDevice, ...]


@dataclass(frozen=True)
class PingResult:
    """A ping of an NPU; `answered` is None when there was no time for it."""

    device: int
    address: str
    answered: Optional[bool]


@dataclass(frozen=True)
class Pings:
    """All pings of a node."""

    results: Tuple[PingResult, ...]


@dataclass(frozen=True)
class Container:
    """The container of the jobs: its state, its image's name and id, and the id that the name has now."""

    state: str
    image: Optional[str]
    image_id: Optional[str]
    wanted_id: Optional[str]


@dataclass(frozen=True)
class Leftover:
    """Processes of a job that has ended, was lost, or is unknown."""

    job_id: str
    state: str
    pids: Tuple[int, ...]


@dataclass(frozen=True)
class SharedFolder:
    """Why a marker can't be written into a folder, and whether that of another node is found there."""

    error: Optional[str]
    found: bool


@dataclass(frozen=True)
class Clock:
    """The node's time before and after it looked, in seconds since 1970."""

    began: float
    ended: float


@dataclass(frozen=True)
class ExamineAnswer:
    """The sections that were asked for; None for the others, and for those where the node saw nothing."""

    versions: Optional[VersionsAnswer] = None
    probe: Optional[ProbeAnswer] = None
    jobs: Optional[StatusAnswer] = None
    chips: Optional[Chips] = None
    kernels: Optional[Kernels] = None
    hccn: Optional[Hccn] = None
    pings: Optional[Pings] = None
    container: Optional[Container] = None
    devices: Optional[Tuple[str, ...]] = None
    leftovers: Optional[Tuple[Leftover, ...]] = None
    shared_folders: Optional[Mapping[str, SharedFolder]] = None
    service: Optional[ServiceAnswer] = None
    clock: Optional[Clock] = None


SEEN_OR_NOTHING = ("kernels", "container")
"""Sections of `examine` that a node answers with null when it sees nothing there."""
