# SPDX-License-Identifier: Apache-2.0
"""The version matrix as values: what versions/matrix.json says, and what was found of a node.

Nothing here imports more than the standard library: the zipapp judges inside an image, with its interpreter.
"""

from __future__ import annotations

import functools
import json
import pkgutil
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple


@dataclass(frozen=True)
class Versions:
    """What was found of a node or is wished for it; None is what nobody saw.

    `firmware_release` is the HDK release that the firmware came with (package_version of its version.info),
    `driver_accepts` and `firmware_accepts` are the ranges of the other one that their own version.info names.
    """

    driver: Optional[str] = None
    firmware: Optional[str] = None
    cann: Optional[str] = None
    mindspore: Optional[str] = None
    mindformers: Optional[str] = None
    firmware_release: Optional[str] = None
    driver_accepts: Optional[str] = None
    firmware_accepts: Optional[str] = None


@dataclass(frozen=True)
class HdkRelease:
    """A driver and the firmware released with it; None where no source names it.

    `firmware_also` are those that its builds for other chips or its patches came with.
    """

    driver: str
    source: str
    firmware: Optional[str] = None
    firmware_also: Tuple[str, ...] = ()
    firmware_minimum: Optional[str] = None
    driver_accepts: Optional[str] = None
    firmware_accepts: Optional[str] = None


@dataclass(frozen=True)
class Stack:
    """A row of MindFormers' own matrix: these four were released for each other."""

    driver: str
    cann: str
    mindspore: Tuple[str, ...]
    mindformers: Tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Window:
    """The drivers that a CANN release officially accepts, oldest first: most are older than itself.

    Both may be a line of releases, such as 25.0.x.
    """

    cann: str
    drivers: Tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Outcome:
    """Versions off the matrix that somebody tried, and how it went."""

    versions: Versions
    name: str
    source: str


@dataclass(frozen=True)
class Cost:
    """What a component older than `below` makes do without."""

    component: str
    below: str
    cost: str
    source: str


@dataclass(frozen=True)
class Matrix:
    """Everything that versions/matrix.json says."""

    hdk: Tuple[HdkRelease, ...]
    stacks: Tuple[Stack, ...]
    windows: Tuple[Window, ...]
    works: Tuple[Outcome, ...]
    breaks: Tuple[Outcome, ...]
    costs: Tuple[Cost, ...]


@functools.lru_cache(maxsize=1)
def load_matrix() -> Matrix:
    """Return the matrix that this package carries, also from within a zipapp."""
    data = pkgutil.get_data("telechat_runtime", "versions/matrix.json")
    if data is None:
        raise FileNotFoundError("telechat_runtime was packed without its versions/matrix.json")
    return parse_matrix(json.loads(data))


def parse_matrix(document: Mapping[str, Any]) -> Matrix:
    """Read the document of matrix.json. Raises TypeError or KeyError for a field that is missing or unknown."""
    lists: Dict[str, Any] = {name: document[name] for name in Matrix.__dataclass_fields__}
    return Matrix(
        hdk=tuple(HdkRelease(**{**row, "firmware_also": tuple(row.get("firmware_also", ()))}) for row in lists["hdk"]),
        stacks=tuple(
            Stack(**{**row, "mindspore": tuple(row["mindspore"]), "mindformers": tuple(row["mindformers"])})
            for row in lists["stacks"]
        ),
        windows=tuple(Window(**{**row, "drivers": tuple(row["drivers"])}) for row in lists["windows"]),
        works=tuple(_outcome(row) for row in lists["works"]),
        breaks=tuple(_outcome(row) for row in lists["breaks"]),
        costs=tuple(Cost(**row) for row in lists["costs"]),
    )


def _outcome(row: Mapping[str, str]) -> Outcome:
    found = {name: value for name, value in row.items() if name not in ("name", "source")}
    return Outcome(versions=Versions(**found), name=row["name"], source=row["source"])
