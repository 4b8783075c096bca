# SPDX-License-Identifier: Apache-2.0
"""Take out of a text what tells whose server it is: names, addresses, serial numbers, passwords.

Each becomes a stand-in of the same shape, the same one wherever it occurs, so that parsers read the text as before.
Versions, which may look like addresses (24.1.0.3), stay.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Callable, Dict, Iterable, List, Match, Set

SERIAL = "SCRUBBED"

_USER_PART = re.compile(r"(?<=://)[^/\s@]+@")
_URL_HOST = re.compile(r"(?<=://)[A-Za-z0-9.-]+")
_REMOTE_PATH = re.compile(r"(?m)^[A-Za-z0-9.-]+(?=:/(?!/))")
_LETTER = re.compile(r"[A-Za-z]")
_MAC = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:])")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)")
# What comes before a version that has four numbers.
_BEFORE_VERSION = re.compile(r"(?:version\W{0,20}|npu-smi\s+)$", re.IGNORECASE)
_BEFORE_VERSION_LENGTH = 40
_SERIAL = re.compile(
    r"(?P<name>\b(?:serial(?: number)?|sn|v?die ?id|uuid|asset tag|machine[- ]id)\b[\"']?\s*[:=]\s*)"
    r"(?P<value>[^\n|,}]*[^\s|,}])",
    re.IGNORECASE,
)
_NEUTRAL = re.compile(r"localhost\S*|ip6-\w+", re.IGNORECASE)
_SHORTEST_NAME = 3
# Blocks for documentation (RFC 5737, RFC 3849), then of carriers (RFC 6598); locally administered Ethernet addresses.
_IPV4_BLOCKS = ("192.0.2", "198.51.100", "203.0.113", *(f"100.64.{number}" for number in range(256)))
_BLOCK = 254


class Scrubber:
    """Stand-ins for what tells whose server it is; `names` are those that the server knows of itself."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._stand_ins: Dict[str, Dict[str, str]] = {"name": {}, "ipv4": {}, "ipv6": {}, "mac": {}}
        self._made: Set[str] = set()
        wanted = {name for name in names if len(name) >= _SHORTEST_NAME and not _NEUTRAL.fullmatch(name)}
        # The longest first, so that a name within another one does not spoil it.
        known = sorted(wanted, key=lambda name: (-len(name), name))
        self._names = [re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", re.IGNORECASE) for name in known]

    def text(self, text: str) -> str:
        """Return the text without what tells whose server it is."""
        text = _USER_PART.sub("", text)
        text = _URL_HOST.sub(self._name, text)
        text = _REMOTE_PATH.sub(self._name, text)
        text = _SERIAL.sub(lambda match: match["name"] + SERIAL, text)
        text = _MAC.sub(lambda match: self._stand_in("mac", match[0].lower(), _mac), text)
        text = _IPV6.sub(self._ipv6, text)
        text = _IPV4.sub(self._ipv4, text)
        for pattern in self._names:
            text = pattern.sub(self._name, text)
        return text

    def _name(self, match: Match[str]) -> str:
        # Without a letter it is an address.
        if _NEUTRAL.fullmatch(match[0]) or not _LETTER.search(match[0]):
            return match[0]
        return self._stand_in("name", match[0].lower(), lambda number: f"host{number}")

    def _ipv4(self, match: Match[str]) -> str:
        before = match.string[max(0, match.start() - _BEFORE_VERSION_LENGTH) : match.start()]
        try:
            address = ipaddress.IPv4Address(match[0])
        except ValueError:
            return match[0]
        is_mask = match[0].startswith("255.")
        if is_mask or address.is_loopback or address.is_unspecified or _BEFORE_VERSION.search(before):
            return match[0]
        return self._stand_in("ipv4", match[0], _ipv4)

    def _ipv6(self, match: Match[str]) -> str:
        try:
            address = ipaddress.IPv6Address(match[0])
        except ValueError:
            return match[0]
        if address.is_loopback or address.is_unspecified:
            return match[0]
        return self._stand_in("ipv6", str(address), lambda number: f"2001:db8::{number + 1:x}")

    def _stand_in(self, kind: str, original: str, make: Callable[[int], str]) -> str:
        known = self._stand_ins[kind]
        if original in self._made:
            return original
        if original not in known:
            known[original] = make(len(known))
            self._made.add(known[original])
        return known[original]


def names_in_hosts(text: str) -> List[str]:
    """Return the names in the text of an /etc/hosts."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return [name for words in lines for name in words[1:]]


def _ipv4(number: int) -> str:
    block, host = divmod(number, _BLOCK)
    return f"{_IPV4_BLOCKS[block]}.{host + 1}"


def _mac(number: int) -> str:
    high, low = divmod(number, 256)
    return f"02:00:00:00:{high:02x}:{low:02x}"
