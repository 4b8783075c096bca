# SPDX-License-Identifier: Apache-2.0
"""Makes a cluster of the inventory: its nodes in the order of their ranks, and what they have in common.

Words, as torchrun and msrun use them: a *node* is a server; a *worker* is a process that drives one NPU; its *rank* is
node rank x workers per node + its index on the node; the *world size* is the number of a job's workers.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.cluster.contract import DEFAULT_MASTER_PORT, DEFAULTS, ON_CPU, ON_NPU
from telechat_runtime.cluster.hostvars import HostVars
from telechat_runtime.cluster.ssh_options import SshOptions, parse_ssh_args
from telechat_runtime.errors import InventoryError, SpecError

MAX_NPUS = 64

_ABSOLUTE = re.compile(r"/[^\n]*")
_ABSOLUTE_OR_HOME = re.compile(r"(/|~$|~/)[^\n]*")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_CONNECTIONS = {"ssh": "ssh", "smart": "ssh", "paramiko": "ssh", "paramiko_ssh": "ssh", "local": "local"}


@dataclass(frozen=True)
class Connection:
    """How the control side reaches a node. Empty text and None leave the choice to ssh_config and its defaults."""

    kind: str  # "ssh" or "local"
    host: str
    port: Optional[int]
    user: str
    key_file: str
    become: bool
    options: SshOptions


@dataclass(frozen=True)
class Node:
    """One server of the cluster. Paths are the container's."""

    name: str
    addr: str
    npu_count: int
    connection: Connection
    container: str
    python: str
    runtime_path: str
    job_root: str
    tree: str
    env_script: str
    env: Tuple[Tuple[str, str], ...]


@dataclass(frozen=True)
class Cluster:
    """The nodes, and what they have in common. The place of a node in `nodes` is its rank in a job on all of them."""

    group: str
    nodes: Tuple[Node, ...]
    master_port: int
    device_target: str
    shared_paths: Tuple[str, ...]

    @property
    def master(self) -> Node:
        """The node of rank 0: msrun's scheduler runs there."""
        return self.nodes[0]

    def workers_per_node(self, wanted: Optional[int] = None) -> int:
        """Return the workers of each node: `wanted`, or one for every NPU.

        Raises SpecError when the nodes have unequal counts (msrun computes ranks as if they were equal) or too few.
        """
        counts = {node.npu_count for node in self.nodes}
        if wanted is None and len(counts) > 1:
            listing = ", ".join(f"{node.name} {node.npu_count}" for node in self.nodes)
            raise SpecError(
                f"unequal ascend_npu_count: {listing}; one job needs equal counts on all nodes",
                next_step=f"use --npus-per-node {min(counts)}, or --limit to nodes of one kind",
            )
        count = min(counts) if wanted is None else wanted
        short = [f"{node.name} has {node.npu_count}" for node in self.nodes if node.npu_count < count]
        if short:
            raise SpecError(f"--npus-per-node {count} is more than the nodes have: {', '.join(short)}")
        return count

    def limited_to(self, hosts: Iterable[str]) -> Cluster:
        """Return the sub-cluster of those hosts, in the same order."""
        wanted = set(hosts)
        kept = [node for node in self.nodes if node.name in wanted]
        if not kept:
            raise InventoryError(
                [f"--limit leaves no host of the group {self.group!r}"],
                next_step=f"the group has {', '.join(node.name for node in self.nodes)}",
            )
        return dataclasses.replace(self, nodes=tuple(kept))

    def reordered(self, hosts: Sequence[str]) -> Cluster:
        """Return the sub-cluster of those hosts, in the order given."""
        nodes = {node.name: node for node in self.nodes}
        return dataclasses.replace(self, nodes=tuple(nodes[name] for name in hosts))

    def as_dict(self) -> Dict[str, Any]:
        """Return the cluster as data: for --json, and for the description that the roles write on a node."""
        return {
            "group": self.group,
            "master_addr": self.master.addr,
            "master_port": self.master_port,
            "device_target": self.device_target,
            "shared_paths": list(self.shared_paths),
            "nodes": [
                {
                    "name": node.name,
                    "node_rank": rank,
                    "addr": node.addr,
                    "npu_count": node.npu_count,
                    "container": node.container,
                    "job_root": node.job_root,
                }
                for rank, node in enumerate(self.nodes)
            ],
        }


def cluster_from_hostvars(group: str, hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> Cluster:
    """Make the cluster of `group` from its hosts in the file's order and every host's variables.

    Raises InventoryError with one message per violation of the contract.
    """
    if not hosts:
        raise InventoryError([f"the group {group!r} has no hosts"])
    problems: List[str] = []
    readers = [HostVars(host, hostvars.get(host, {}), problems) for host in hosts]
    ranks = _ranks(readers, problems)
    nodes = [_node(reader) for reader in readers]
    master_port = _common(readers, "telechat_master_port", [_port(reader) for reader in readers], problems)
    device_target = _common(readers, "telechat_device_target", [_device_target(reader) for reader in readers], problems)
    shared = [reader.folders("telechat_shared_paths") for reader in readers]
    shared_paths = _common(readers, "telechat_shared_paths", shared, problems)
    if problems:
        raise InventoryError(problems, next_step="inventory/README.md has the rules of these variables")
    return Cluster(
        group=group,
        nodes=tuple(node for _, node in sorted(zip(ranks, nodes), key=lambda ranked: ranked[0])),
        master_port=master_port,
        device_target=device_target,
        shared_paths=shared_paths,
    )


def _ranks(readers: Sequence[HostVars], problems: List[str]) -> List[int]:
    order = list(range(len(readers)))
    with_rank = [reader for reader in readers if reader.has("ascend_node_rank")]
    if not with_rank:
        return order
    if len(with_rank) < len(readers):
        missing = ", ".join(reader.host for reader in readers if not reader.has("ascend_node_rank"))
        problems.append(f"ascend_node_rank is missing for {missing}; give it to all hosts of the group, or to none")
        return order
    before = len(problems)
    ranks = [reader.integer("ascend_node_rank", low=0, high=len(readers) - 1, default=0) or 0 for reader in readers]
    if len(problems) > before:
        return order
    for rank in sorted(set(ranks)):
        owners = [reader.host for reader, own in zip(readers, ranks) if own == rank]
        if len(owners) > 1:
            problems.append(
                f"ascend_node_rank {rank} is given to {' and '.join(owners)}; each rank belongs to one host"
            )
    missing_ranks = ", ".join(str(rank) for rank in order if rank not in ranks)
    if missing_ranks:
        problems.append(
            f"no host has ascend_node_rank {missing_ranks}; {len(readers)} hosts have the ranks 0 to {order[-1]}"
        )
    return ranks


def _node(reader: HostVars) -> Node:
    connection = _connection(reader)
    addr = reader.text("ascend_node_addr", pattern=_HOST, rule="an address or a host name")
    if not reader.has("ascend_npu_count"):
        reader.note("ascend_npu_count", f"is missing; it must be a whole number from 1 to {MAX_NPUS}")
    absolute = "an absolute path or empty"
    node = Node(
        name=reader.host,
        addr=addr or connection.host,
        npu_count=reader.integer("ascend_npu_count", low=1, high=MAX_NPUS, default=1) or 1,
        connection=connection,
        container=reader.text(
            "telechat_container_name",
            default=DEFAULTS["telechat_container_name"],
            pattern=_CONTAINER,
            rule="a container's name",
        ),
        python=reader.text("telechat_python", default=DEFAULTS["telechat_python"]),
        runtime_path=reader.text(
            "telechat_runtime_path", default=DEFAULTS["telechat_runtime_path"], pattern=_ABSOLUTE, rule=absolute
        ),
        job_root=reader.text(
            "telechat_job_root",
            default=DEFAULTS["telechat_job_root"],
            pattern=_ABSOLUTE_OR_HOME,
            rule="an absolute path, or ~/…",
        ),
        tree=reader.text("telechat_tree", pattern=_ABSOLUTE, rule=absolute).rstrip("/"),
        env_script=reader.text("telechat_env_script", pattern=_ABSOLUTE, rule=absolute),
        env=reader.environment("telechat_env"),
    )
    _check_this_machine(reader, node)
    return node


def _check_this_machine(reader: HostVars, node: Node) -> None:
    here = node.connection.kind == "local" and not node.container
    for variable, value in (("telechat_runtime_path", node.runtime_path), ("telechat_python", node.python)):
        if not value and not here:
            reader.note(variable, "is empty; that is for ansible_connection: local without a container only")
    if not node.job_root:
        reader.note("telechat_job_root", "is empty; it must be an absolute path, or ~/…")


def _connection(reader: HostVars) -> Connection:
    word = reader.text("ansible_connection", default="ssh")
    if word not in _CONNECTIONS:
        reader.note("ansible_connection", f"is {word!r}; telechat-run knows ssh and local")
    arguments = reader.text("ansible_ssh_common_args")
    options, rejected = parse_ssh_args(arguments)
    for problem in rejected:
        reader.note("ansible_ssh_common_args", problem)
    return Connection(
        kind=_CONNECTIONS.get(word, "ssh"),
        host=reader.text("ansible_host", default=reader.host, pattern=_HOST, rule="an address or a host name"),
        port=reader.integer("ansible_port", low=1, high=65535),
        user=reader.text("ansible_user"),
        key_file=reader.text("ansible_ssh_private_key_file"),
        become=reader.boolean("ansible_become"),
        options=options,
    )


def _port(reader: HostVars) -> int:
    return (
        reader.integer("telechat_master_port", low=1024, high=65535, default=DEFAULT_MASTER_PORT) or DEFAULT_MASTER_PORT
    )


def _device_target(reader: HostVars) -> str:
    return reader.text(
        "telechat_device_target", default=ON_NPU, pattern=re.compile(f"{ON_NPU}|{ON_CPU}"), rule=f"{ON_NPU} or {ON_CPU}"
    )


def _common(readers: Sequence[HostVars], variable: str, values: Sequence[Any], problems: List[str]) -> Any:
    if any(value != values[0] for value in values):
        listing = ", ".join(f"{reader.host} {value!r}" for reader, value in zip(readers, values))
        problems.append(f"{variable} differs: {listing}; it must be the same for all hosts of the group")
    return values[0]
