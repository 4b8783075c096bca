# SPDX-License-Identifier: Apache-2.0
"""Reads the inventory as Ansible does: `ansible-inventory --list` honours ansible.cfg, vault and --limit."""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from telechat_runtime import wire_log
from telechat_runtime.cluster.contract import DEFAULT_GROUP
from telechat_runtime.cluster.topology import Cluster, cluster_from_hostvars
from telechat_runtime.errors import InventoryError
from telechat_runtime.fanout import FleetError, call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.redaction import shell_text

_PATTERN_NAME = re.compile(r"[A-Za-z0-9_.*?-]+")
_ASK = "--ask-vault-password"


@dataclass(frozen=True)
class InventoryOptions:
    """Which inventory to read, with Ansible's own options; no source means ANSIBLE_INVENTORY, then ansible.cfg."""

    sources: Tuple[str, ...] = ()
    group: str = DEFAULT_GROUP
    limit: str = ""
    vault_ids: Tuple[str, ...] = ()
    vault_password_files: Tuple[str, ...] = ()
    ask_vault_password: bool = False


@dataclass(frozen=True)
class Clusters:
    """All nodes of the inventory's group, and those of --limit, which have ranks of their own."""

    everyone: Cluster
    limited: Cluster


def load_cluster(options: InventoryOptions, interrupt: Interrupt) -> Cluster:
    """Return the cluster of the inventory's group, narrowed to --limit. Raises InventoryError."""
    return load_clusters(options, interrupt).limited


def load_clusters(options: InventoryOptions, interrupt: Interrupt) -> Clusters:
    """Return the cluster of the inventory's group, whole and narrowed to --limit. Raises InventoryError."""
    for source in options.sources:
        if "," not in source and not Path(source).exists():
            raise InventoryError([f"the inventory {source!r} does not exist"])
    # The whole group is read even with --limit: its ranks have to be right, and every name of the limit known.
    limits = ["", options.limit] if options.limit else [""]
    try:
        listings = call_on_all(
            limits,
            lambda limit: _run(inventory_argv(options, limit)),
            doing="reading the inventory",
            interrupt=interrupt,
            max_threads=1 if options.ask_vault_password else 2,
        )
    except FleetError as error:
        raise next(iter(error.errors.values())) from None  # it fails with a limit as it does without
    everything = listings[""]
    _check_group(everything, options.group)
    _check_limit(everything, options.limit)
    cluster = cluster_from_hostvars(options.group, group_hosts(everything, options.group), _hostvars(everything))
    limited = cluster.limited_to(group_hosts(listings[options.limit], options.group)) if options.limit else cluster
    return Clusters(everyone=cluster, limited=limited)


def inventory_argv(options: InventoryOptions, limit: str) -> List[str]:
    """Return the argv of ansible-inventory, of the same environment as this program."""
    argv = [_program(), "--list"]
    for source in options.sources:
        argv += ["--inventory", source]
    for vault_id in options.vault_ids:
        argv += ["--vault-id", vault_id]
    for path in options.vault_password_files:
        argv += ["--vault-password-file", path]
    if options.ask_vault_password:
        argv.append(_ASK)
    if limit:
        argv += ["--limit", limit]
    return argv


def group_hosts(listing: Mapping[str, Any], group: str) -> List[str]:
    """Return the hosts of a group in the order of the file: its own, then those of its children."""
    entry = listing.get(group, {})
    hosts = list(entry.get("hosts", []))
    for child in entry.get("children", []):
        hosts += group_hosts(listing, child)
    return list(dict.fromkeys(hosts))


def _program() -> str:
    beside = Path(sys.executable).parent / "ansible-inventory"
    found = str(beside) if beside.exists() else shutil.which("ansible-inventory")
    if found is None:
        raise InventoryError(
            ["ansible-inventory is not installed beside telechat-run"], next_step="install telechat-runtime[control]"
        )
    return found


def _run(argv: Sequence[str]) -> Mapping[str, Any]:
    # By itself ansible-inventory only warns of a source that it can't read, and shows an empty inventory.
    env = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", **os.environ, "ANSIBLE_NOCOLOR": "1"}
    wire_log.note("inventory", "run %s", shell_text(argv))
    begin = time.monotonic()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, env=env, check=False)
    wire_log.note("inventory", "exit code %d after %.2f s", done.returncode, time.monotonic() - begin)
    if done.returncode:
        raise InventoryError([f"ansible-inventory failed:\n{done.stderr.decode(errors='replace').strip()}"])
    try:
        listing: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise InventoryError([f"ansible-inventory printed no JSON: {error}"]) from error
    wire_log.hide(listing)
    for line in done.stderr.decode(errors="replace").splitlines():
        wire_log.note("inventory", "stderr: %s", line)
    return listing


def _hostvars(listing: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    hostvars: Mapping[str, Mapping[str, Any]] = listing.get("_meta", {}).get("hostvars", {})
    return hostvars


def _groups(listing: Mapping[str, Any]) -> Dict[str, Any]:
    children = {child for entry in listing.values() if isinstance(entry, dict) for child in entry.get("children", [])}
    return {name: True for name in [*listing, *sorted(children)] if name not in ("_meta", "ungrouped")}


def _check_group(listing: Mapping[str, Any], group: str) -> None:
    groups = _groups(listing)
    if group not in groups:
        raise InventoryError(
            [f"the inventory has no group {group!r}"],
            next_step=f"it has {', '.join(groups) or 'no groups at all'}; choose one with --group",
        )
    if not group_hosts(listing, group):
        raise InventoryError([f"the group {group!r} has no hosts"])


def _check_limit(listing: Mapping[str, Any], limit: str) -> None:
    known = list(dict.fromkeys([*_hostvars(listing), *_groups(listing), *group_hosts(listing, "all")]))
    separator = "," if "," in limit else ":"
    for part in limit.split(separator):
        name = part.strip().lstrip("!&")
        if not _PATTERN_NAME.fullmatch(name) or fnmatch.filter(known, name):
            continue
        near = difflib.get_close_matches(name, known, n=3)
        raise InventoryError(
            [f"--limit {limit!r}: the inventory has no host or group {name!r}"],
            next_step=f"did you mean {' or '.join(near)}?" if near else "`telechat-run nodes` lists the hosts",
        )
