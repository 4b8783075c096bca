# SPDX-License-Identifier: Apache-2.0
"""Asks hccn_tool for the RoCE side of the chips: address, link, health, TLS switch; and lets them ping each other.

hccn_tool's exit codes are not documented and its text is short: this goes by the text alone.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterable, List, Optional, Sequence

from telechat_runtime.node.tool import ask_tool

_TOOL = "/usr/local/Ascend/driver/tools/hccn_tool"
_DEVICES = "/dev/davinci[0-9]*"
_DEVICES_AT_ONCE = 8
_SECONDS = 30
# A lost packet is waited for: pings that have not begun by then are left out, and doctor says so.
PING_SECONDS = 90.0
_PACKETS = "3"

_QUESTIONS = {
    "address": ("-ip", re.compile(r"ipaddr:\s*(\S+)")),
    "link": ("-link", re.compile(r"link status:\s*(\S+)")),
    "net_health": ("-net_health", re.compile(r"net health status:\s*(\S[^\n]*)")),
    "tls": ("-tls", re.compile(r"tls switch\[(\d)\]")),
}
_PING_RESULT = re.compile(r"(\d+) packets transmitted, (\d+) received")


def look() -> Dict[str, Any]:
    """Return what hccn_tool says of every chip that has a device file; None for what it does not say."""
    if not os.path.isfile(_TOOL):
        return {"program": None, "devices": []}
    names = (os.path.basename(path)[len("davinci") :] for path in glob.glob(_DEVICES))
    numbers = sorted(int(name) for name in names if name.isdigit())
    with ThreadPoolExecutor(max_workers=_DEVICES_AT_ONCE) as pool:
        return {"program": _TOOL, "devices": list(pool.map(_device, numbers))}


def ping(pairs: Sequence[Sequence[Any]]) -> Dict[str, Any]:
    """Let chips ping addresses, `[device, address]` each; return what each got back, None when it was left out.

    A chip sends one ping after the other, all chips at once.
    """
    deadline = time.monotonic() + PING_SECONDS
    by_device: Dict[int, List[str]] = {}
    for device, address in pairs:
        by_device.setdefault(int(device), []).append(str(address))
    with ThreadPoolExecutor(max_workers=_DEVICES_AT_ONCE) as pool:
        answers = pool.map(lambda device: _pings(device, by_device[device], deadline), by_device)
        return {"results": [result for results in answers for result in results]}


def parse_ping(text: str) -> Optional[bool]:
    """Tell whether every packet came back; None when the text has no result."""
    found = _PING_RESULT.search(text)
    return None if found is None else int(found[1]) == int(found[2]) > 0


def parse_answers(texts: Dict[str, str]) -> Dict[str, Optional[str]]:
    """Return what the answers say, by the names of the questions; None where they say nothing."""
    found = {name: pattern.search(texts.get(name, "")) for name, (_, pattern) in _QUESTIONS.items()}
    return {name: match[1].strip() if match else None for name, match in found.items()}


def _device(number: int) -> Dict[str, Any]:
    texts = {name: _run(number, [command, "-g"]) for name, (command, _) in _QUESTIONS.items()}
    return {"device": number, **parse_answers(texts)}


def _pings(device: int, addresses: Iterable[str], deadline: float) -> List[Dict[str, Any]]:
    results = []
    for address in addresses:
        left_out = time.monotonic() >= deadline
        text = "" if left_out else _run(device, ["-ping", "-g", "address", address, "pkt", _PACKETS])
        answered = None if left_out else bool(parse_ping(text))
        results.append({"device": device, "address": address, "answered": answered})
    return results


def _run(device: int, words: List[str]) -> str:
    try:
        done = ask_tool([_TOOL, "-i", str(device), *words], seconds=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
