# SPDX-License-Identifier: Apache-2.0
"""Understands the part of `ansible_ssh_common_args` that telechat-run honours.

An option that would change whom it talks to, or how it gets there, and that it can't honour is refused; one that only
tunes the connection is passed over.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Iterator, List, Tuple

# ssh_config(5): neither the route nor the identity of a host depends on these. Host keys are checked whatever they say.
_HARMLESS = frozenset(
    {
        "addkeystoagent",
        "batchmode",
        "canonicalizehostname",
        "ciphers",
        "compression",
        "connectionattempts",
        "connecttimeout",
        "controlmaster",
        "controlpath",
        "controlpersist",
        "escapechar",
        "exitonforwardfailure",
        "forwardagent",
        "forwardx11",
        "gssapiauthentication",
        "gssapidelegatecredentials",
        "hashknownhosts",
        "ipqos",
        "kexalgorithms",
        "loglevel",
        "macs",
        "numberofpasswordprompts",
        "passwordauthentication",
        "preferredauthentications",
        "pubkeyauthentication",
        "rekeylimit",
        "requesttty",
        "sendenv",
        "serveralivecountmax",
        "serveraliveinterval",
        "stricthostkeychecking",
        "tcpkeepalive",
        "updatehostkeys",
        "visualhostkey",
    }
)
_HARMLESS_FLAGS = frozenset({"-C", "-q", "-v", "-vv", "-vvv", "-4", "-6", "-T", "-x", "-a"})


@dataclass(frozen=True)
class SshOptions:
    """What `ansible_ssh_common_args` asks for; empty means that ssh_config decides."""

    known_hosts_files: Tuple[str, ...] = ()
    proxy_jump: str = ""


def parse_ssh_args(arguments: str) -> Tuple[SshOptions, List[str]]:
    """Return the options understood, and one sentence for each that can't be honoured."""
    known_hosts: Tuple[str, ...] = ()
    proxy_jump = ""
    problems: List[str] = []
    try:
        words = shlex.split(arguments)
    except ValueError as error:
        return SshOptions(), [f"can't be split into words: {error}"]
    for name, value in _options(words):
        key = name.lower()
        if key == "userknownhostsfile":
            known_hosts = tuple(shlex.split(value))
        elif key == "proxyjump":
            proxy_jump = "" if value.lower() == "none" else value
        elif key not in _HARMLESS:
            problems.append(f"has {name!r}, which telechat-run can't honour; it knows UserKnownHostsFile and ProxyJump")
    return SshOptions(known_hosts_files=known_hosts, proxy_jump=proxy_jump), problems


def _options(words: List[str]) -> Iterator[Tuple[str, str]]:
    rest = iter(words)
    for word in rest:
        if word in _HARMLESS_FLAGS:
            continue
        if word.startswith("-J"):
            yield "ProxyJump", word[2:] or next(rest, "")
        elif word.startswith("-o"):
            text = (word[2:] or next(rest, "")).strip()
            name, _, value = text.partition("=") if "=" in text else text.partition(" ")
            yield name.strip(), value.strip()
        else:
            yield word, ""
