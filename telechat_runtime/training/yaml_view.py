# SPDX-License-Identifier: Apache-2.0
"""Reads values of a MindFormers yaml by their dotted keys, each kind of value with one meaning everywhere.

| value in the yaml | section | count | number | text | flag |
|---|---|---|---|---|---|
| absent, null | empty | None | None | "" | False |
| True, False | empty | refused | refused | refused, "" for False | itself |
| 0 | empty | None, as MindFormers takes it for unset | 0.0 | "0" | False |
| positive whole number | empty | itself | itself | its digits | True |
| negative number | empty | refused | itself | its digits | True |
| fraction | empty | refused | itself | its digits | True |
| text | empty | refused | refused | itself | refused, False when empty |
| list | empty | refused | refused | refused | refused |
| mapping | itself | refused | refused | refused | refused |

Refused values raise ConfigError with the key's full name and the value.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, Optional

from telechat_runtime.errors import ConfigError


class YamlView:
    """A section of a yaml, by default the whole of it; `name` is its own dotted key."""

    def __init__(self, values: Mapping[str, Any], name: str = "") -> None:
        self._values = values
        self._name = name

    def __bool__(self) -> bool:
        return bool(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def section(self, key: str) -> YamlView:
        """Return the section at a dotted key; empty where there is none."""
        value = self.get(key)
        return YamlView(value if isinstance(value, Mapping) else {}, self._full(key))

    def get(self, key: str) -> Any:
        """Return the value at a dotted key as it is; None where there is none."""
        here: Any = self._values
        for part in key.split("."):
            here = here.get(part) if isinstance(here, Mapping) else None
        return here

    def count(self, key: str) -> Optional[int]:
        """Return how many; None for an absent, a null and a zero."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._refused(key, "a whole number of at least 0")
        return value or None

    def number(self, key: str) -> Optional[float]:
        """Return the number; None for an absent and a null."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise self._refused(key, "a number")
        return float(value)

    def text(self, key: str) -> str:
        """Return the text; empty for an absent, a null and a False, which MindFormers takes for an unset path."""
        value = self.get(key)
        if value is None or value is False:
            return ""
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self._refused(key, "a text")
        return str(value)

    def flag(self, key: str) -> bool:
        """Return whether it is switched on; not so where it is absent, null or empty."""
        value = self.get(key)
        if value is None or value == "":
            return False
        if not isinstance(value, (bool, int, float)):
            raise self._refused(key, "True or False")
        return bool(value)

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _refused(self, key: str, rule: str) -> ConfigError:
        return ConfigError(f"{self._full(key)} is {self.get(key)!r}, but has to be {rule}")
