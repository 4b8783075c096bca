# SPDX-License-Identifier: Apache-2.0
"""Addresses of files without what gives access to them, for what is logged or shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from telechat_runtime.ascend.package_url import public


def visible_addresses(files: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries with `url` as far as it may be seen: no user, no password, no query of a presigned link."""
    return [{**entry, "url": public(str(entry["url"]))} if entry.get("url") else dict(entry) for entry in files]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"visible_addresses": visible_addresses}
