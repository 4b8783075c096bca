# SPDX-License-Identifier: Apache-2.0
"""The lock file of HDK packages as a value: its rules, its one written form, how it is made anew. Pure.

packages:
  - name: Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip
    sha256: …
    size: 119537664                            # bytes
    url: https://mirror.example.com/hdk/….zip  # optional: where it is fetched from when the folder does not have it
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple
from urllib.parse import quote

from ansible.module_utils.ascend.package_url import public, url_fault
from ansible.module_utils.hdk.package_name import parse_package_name
from ansible.module_utils.host_problem import Problem

CHECK = "hdk_packages"
FILE = "hdk.lock.yml"
RULE = "a YAML file: packages, a list of name, sha256, size and, if wanted, url"
MAKE = "make it: ansible-playbook playbooks/hdk_lock.yml"
MEND = "mend it, or make it anew: ansible-playbook playbooks/hdk_lock.yml -e ascend_hdk_lock_replace=true"

_KEYS = ("name", "sha256", "size", "url")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
# What YAML 1.1 or 1.2 takes for a number unless it is quoted.
_LIKE_A_NUMBER = re.compile(r"\d+|0b[01]+|\d+e\d+")


class LockError(Exception):
    """The lock file breaks its rules, or would be changed where it must not be; `problems` has every reason."""

    def __init__(self, problems: List[Problem]) -> None:
        super().__init__("; ".join(problem.value for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class LockEntry:
    """A package's file name, SHA-256 in small letters, size in bytes, and where it is fetched from (or empty)."""

    name: str
    sha256: str
    size: int
    url: str = ""


def parse_lock(document: Any, path: str) -> Dict[str, LockEntry]:
    """Return name → entry of what YAML made of the file. Raises LockError with a problem for each wrong entry."""
    packages = document.get("packages") if isinstance(document, dict) else None
    if not isinstance(packages, list):
        raise LockError([_problem(f"{path} has no list packages", RULE, MEND)])
    entries: Dict[str, LockEntry] = {}
    problems: List[Problem] = []
    for number, item in enumerate(packages, 1):
        where = f"{path}: entry {number}"
        found = _faults(where, item)
        if not found and item["name"] in entries:
            found = [_problem(f"{where} is the second for {item['name']}", "a package has one entry", "remove one")]
        problems += found
        if not found:
            entries[item["name"]] = _entry(item)
    if problems:
        raise LockError(problems)
    return entries


def render_lock(entries: Mapping[str, LockEntry]) -> str:
    """Return the file's text: sorted by name, the same for the same entries."""
    lines = ["---", "packages:" if entries else "packages: []"]
    for _, entry in sorted(entries.items()):
        lines += [f"  - name: {_scalar(entry.name)}", f"    sha256: {_scalar(entry.sha256)}", f"    size: {entry.size}"]
        lines += [f"    url: {json.dumps(entry.url)}"] if entry.url else []
    return "\n".join(lines) + "\n"


def renew_lock(
    entries: Mapping[str, LockEntry],
    found: Mapping[str, Tuple[str, int]],
    expected: Mapping[str, str],
    *,
    url_base: str,
    replace: bool,
) -> Dict[str, LockEntry]:
    """Return the entries with the packages found (name → sha256, size); entries without a file stay as they are.

    A known url is kept, else it is `url_base` and the name. Raises LockError when a package is not what the lock
    file says (unless `replace`) or what is expected (name → sha256), and for an expected package that is not there.
    """
    problems = [_changed(entries[name], actual) for name, actual in found.items() if _differs(entries, name, actual)]
    problems = [] if replace else problems
    for name, checksum in sorted(expected.items()):
        actual = found[name][0] if name in found else entries[name].sha256 if name in entries else None
        if actual != checksum.lower():
            problems.append(_unexpected(name, checksum, actual))
    if problems:
        raise LockError(problems)
    fresh = dict(entries)
    for name, (sha256, size) in found.items():
        known = entries[name].url if name in entries else ""
        base = url_base.rstrip("/") + "/" if url_base else ""
        fresh[name] = LockEntry(name=name, sha256=sha256, size=size, url=known or (base and base + quote(name)))
    return fresh


def _faults(where: str, item: Any) -> List[Problem]:
    if not isinstance(item, dict):
        return [_problem(f"{where} is {item!r:.60}", RULE, MEND)]
    if "file" in item and "name" not in item:
        return [_problem(f"{where} has file, as earlier lock files had", RULE, MEND)]
    missing = [key for key in _KEYS[:3] if key not in item]
    if missing:
        return [_problem(f"{where} lacks {', '.join(missing)}", RULE, MEND)]
    faults: List[Problem] = []
    unknown = sorted(str(key) for key in item if key not in _KEYS)
    if unknown:
        faults.append(_problem(f"{where} has {', '.join(unknown)}", RULE, "remove what it does not know"))
    name, sha256, size, url = item["name"], item["sha256"], item["size"], item.get("url") or ""
    if not isinstance(name, str) or parse_package_name(name) is None:
        rule = "a package is named as Huawei names it: Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip"
        faults.append(_problem(f"{where} has the name {name!r}", rule, "give the file's own name"))
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256.lower()):
        length = f" ({len(sha256)} characters)" if isinstance(sha256, str) else ""
        rule = "sha256 has 64 hexadecimal digits (in quotes when all of them are decimal)"
        faults.append(_problem(f"{where} has the sha256 {sha256!r}{length}", rule, "take it from Huawei's page"))
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        faults.append(_problem(f"{where} has the size {size!r}", "size is the file's bytes, above 0", MEND))
    if url and url_fault(url):
        rule = "url is http://, https:// or file:// and an address"
        shown = public(url) if isinstance(url, str) else repr(url)
        faults.append(_problem(f"{where} has the url {shown}: {url_fault(url)}", rule, "mend or remove it"))
    return faults


def _entry(item: Mapping[str, Any]) -> LockEntry:
    return LockEntry(name=item["name"], sha256=item["sha256"].lower(), size=item["size"], url=item.get("url") or "")


def _differs(entries: Mapping[str, LockEntry], name: str, actual: Tuple[str, int]) -> bool:
    return name in entries and (entries[name].sha256, entries[name].size) != actual


def _changed(entry: LockEntry, actual: Tuple[str, int]) -> Problem:
    return _problem(
        f"{entry.name} has sha256 {actual[0]} and {actual[1]} bytes,"
        f" the lock file says {entry.sha256} and {entry.size}",
        "a package that is locked does not change",
        "get it again; if Huawei itself replaced it, -e ascend_hdk_lock_replace=true takes the new one",
    )


def _unexpected(name: str, checksum: str, actual: Any) -> Problem:
    found = f"{name} has sha256 {actual}" if actual else f"{name} is neither in the folder nor in the lock file"
    rule = f"ascend_hdk_lock_expected says {checksum}"
    return _problem(found, rule, "download it again, or correct the expected checksum")


def _scalar(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and not _LIKE_A_NUMBER.fullmatch(text)
    return text if plain else json.dumps(text)


def _problem(value: str, rule: str, next_step: str) -> Problem:
    return Problem(check=CHECK, value=value, rule=rule, next_step=next_step)
