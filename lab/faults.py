# SPDX-License-Identifier: Apache-2.0
"""Inject faults into a host's hardware folder, and heal them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.errors import LabError
from lab.vendor import faults as vendor

if TYPE_CHECKING:
    from lab.layout import Host


def parse(text: str) -> tuple[str, Any]:
    """Split NAME[=VALUE]; a value is JSON where it reads as JSON, else text; none means true."""
    name, given, value = text.partition("=")
    if not given:
        return name, True
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def inject(host: Host, text: str) -> None:
    """Make a fault active. Raises LabError for one that nothing obeys."""
    name, value = parse(text)
    try:
        vendor.set_fault(host.hardware, name, value)
    except ValueError as error:
        raise LabError(f"{error}; `lab fault --list` describes them") from error


def heal(host: Host, name: str | None) -> None:
    """Clear one fault, or all. Raises LabError for an unknown one."""
    try:
        vendor.clear(host.hardware, name)
    except ValueError as error:
        raise LabError(f"{error}; `lab fault --list` describes them") from error


def listing() -> str:
    """Return a line for each known fault."""
    width = max(len(name) for name in vendor.KNOWN)
    return "\n".join(f"{name:{width}}  {text}" for name, text in sorted(vendor.KNOWN.items()))
