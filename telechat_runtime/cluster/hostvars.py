# SPDX-License-Identifier: Apache-2.0
"""Reads the contract variables of one host (inventory/README.md) and notes every violation, not just the first."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Pattern, Tuple

_TEMPLATE = re.compile(r"\{\{|\{%")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class HostVars:
    """The variables of one host; a reader returns the default where the value breaks its rule, and notes a problem."""

    def __init__(self, host: str, variables: Mapping[str, Any], problems: List[str]) -> None:
        self.host = host
        self._variables = variables
        self._problems = problems

    def note(self, variable: str, rule: str) -> None:
        """Add a problem of this host's `variable`."""
        self._problems.append(f"{self.host}: {variable} {rule}")

    def has(self, variable: str) -> bool:
        """Tell whether the inventory gives the host that variable."""
        return self._variables.get(variable) is not None

    def integer(self, variable: str, *, low: int, high: int, default: Optional[int] = None) -> Optional[int]:
        """Return a whole number in low..high; text of digits counts, as INI inventories give text."""
        value = self._literal(variable)
        if value is None:
            return default
        if isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.note(variable, f"is {value!r}; it must be a whole number from {low} to {high}")
            return default
        return value

    def text(self, variable: str, *, default: str = "", pattern: Optional[Pattern[str]] = None, rule: str = "") -> str:
        """Return a text that matches `pattern` as a whole; `rule` says in words what the pattern wants."""
        value = self._literal(variable)
        if value is None:
            return default
        if not isinstance(value, str) or "\n" in value or "\0" in value:
            self.note(variable, f"is {value!r}; it must be one line of text")
            return default
        if value and pattern is not None and not pattern.fullmatch(value):
            self.note(variable, f"is {value!r}; it must be {rule}")
            return default
        return str(value)

    def boolean(self, variable: str) -> bool:
        """Return true or false; the words that Ansible takes for them count."""
        value = self._literal(variable)
        if value is None or isinstance(value, bool):
            return bool(value)
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            self.note(variable, f"is {value!r}; it must be true or false")
        return word in _TRUE

    def environment(self, variable: str) -> Tuple[Tuple[str, str], ...]:
        """Return environment variables as (name, value) pairs; numbers become text, nothing else does."""
        value = self._literal(variable)
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            self.note(variable, f"is {value!r}; it must be a dictionary of names and values")
            return ()
        pairs: Dict[str, str] = {}
        for name, item in value.items():
            if not isinstance(name, str) or not _VARIABLE_NAME.fullmatch(name):
                self.note(variable, f"names {name!r}; a name has letters, digits and _, and starts with no digit")
            elif isinstance(item, bool) or not isinstance(item, (str, int, float)):
                self.note(variable, f"gives {name} a {type(item).__name__}; it must be text or a number (quote it)")
            else:
                pairs[str(name)] = str(item)
        return tuple(pairs.items())

    def folders(self, variable: str) -> Tuple[str, ...]:
        """Return a list of absolute paths."""
        value = self._literal(variable)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.note(variable, f"is {value!r}; it must be a list of folders")
            return ()
        for item in value:
            if not isinstance(item, str) or not re.fullmatch(r"/[^,\n]*", item):
                self.note(variable, f"has {item!r}; each folder must be an absolute path without a comma")
                return ()
        return tuple(str(item) for item in value)

    def _literal(self, variable: str) -> Any:
        value = self._variables.get(variable)
        if isinstance(value, Mapping) and "__ansible_vault" in value:
            self.note(variable, "is encrypted; give a vault option, as for ansible-playbook")
            return None
        template = _find_template(value)
        if template is not None:
            self.note(
                variable,
                f"is the template {template!r}; telechat-run needs a literal, as ansible-inventory renders none",
            )
            return None
        return value


def _find_template(value: Any) -> Optional[str]:
    if isinstance(value, str):
        return str(value) if _TEMPLATE.search(value) else None
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return next((found for found in map(_find_template, items) if found is not None), None)
