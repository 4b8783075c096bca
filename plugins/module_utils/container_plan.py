# SPDX-License-Identifier: Apache-2.0
"""Plan the long-lived container of a node: parameters, the docker argv they mean, and what a difference asks for.

Everything here is pure; what exists on the host comes in as a function from a path to its kind (see host_paths).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible.module_utils.ascend.docker_inspect import PARAMETERS_LABEL
from ansible.module_utils.docker_objects import Container, Image
from ansible.module_utils.host_problem import Problem

SPEC_LABEL = "telechat.spec"

Kind = Callable[[str], Optional[str]]
Difference = Tuple[str, Any, Any]


class Mount(NamedTuple):
    """One bind mount; ``kind`` is what the source must be: any, file or dir."""

    source: str
    target: str
    read_only: bool
    required: bool
    kind: str


class Names(NamedTuple):
    """What a host calls itself, and its /etc/hosts as (name, address)."""

    hostname: str
    known: Tuple[Tuple[str, str], ...]


class Decision(NamedTuple):
    """What a container needs: ``nothing``, ``start``, ``create``, ``recreate`` or ``refuse``; reasons for people."""

    action: str
    reason: str
    differences: Tuple[Difference, ...] = ()


def parameters(wish: Dict[str, Any], kind_of: Kind, names: Names) -> Dict[str, Any]:
    """Settle a wish for one host: optional mounts that are not there fall away, the host's own name resolves."""
    mounts = [mount for mount in map(settle_mount, wish["mounts"]) if mount.required or kind_of(mount.source)]
    return {
        "image": wish["image_name"],
        "user": wish["user"],
        "ipc": wish["ipc"],
        "network": wish["network"],
        "restart": wish["restart"],
        "privileged": wish["privileged"],
        "stop_signal": wish["stop_signal"],
        "shm_size": wish["shm_size"],
        "ulimits": sorted(wish["ulimits"]),
        "devices": list(wish["devices"]),
        "mounts": [_mount(mount) for mount in mounts],
        "hosts": added_hosts(names, wish["address"]) if wish["network"] == "host" else [],
        "env": {str(name): str(value) for name, value in sorted(wish["env"].items())},
        "command": list(wish["command"]),
    }


def added_hosts(names: Names, address: str) -> List[str]:
    """Return what the container's /etc/hosts needs beyond the host's, as ``name:address``.

    MindFormers calls ``gethostbyname(hostname)``, and a rank whose name does not resolve ends while the others wait.
    With the host's network Docker hands the host's /etc/hosts on, unless something is added: then nothing of it is, so
    the other entries have to be added too.
    """
    if not is_address(address) or any(name == names.hostname for name, _ in names.known):
        return []
    others = [f"{name}:{known}" for name, known in names.known if not name.endswith("localhost")]
    return [f"{names.hostname}:{address}", *others]


def is_address(text: str) -> bool:
    """Return whether a text is an IP address; Docker adds no other kind of host."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def parse_hosts(text: str) -> Tuple[Tuple[str, str], ...]:
    """Return the (name, address) pairs of /etc/hosts, in its order."""
    pairs = []
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        pairs += [(name, address) for name in names if not name.startswith("ip6-")]
    return tuple(pairs)


def settle_mount(mount: Dict[str, Any]) -> Mount:
    """Give a mount of the inventory its defaults: same path in the container, writable, required, of any kind."""
    return Mount(
        source=mount["source"],
        target=mount.get("target") or mount["source"],
        read_only=bool(mount.get("read_only")),
        required=bool(mount.get("required", True)),
        kind=mount.get("kind") or "any",
    )


def missing_sources(wish: Dict[str, Any], kind_of: Kind) -> List[str]:
    """Return one sentence for every device and mount source that stops ``docker run``.

    Docker makes a directory of a missing mount source; a later installation of the real file then fails.
    """
    found = [f"{path} is missing" for path in wish["devices"] if kind_of(path) is None]
    found += [f"{path} is no device" for path in wish["devices"] if kind_of(path) not in (None, "device", "dir")]
    for mount in map(settle_mount, wish["mounts"]):
        kind = kind_of(mount.source)
        if kind is None and mount.required:
            found.append(f"{mount.source} is missing")
        elif kind == "dir" and mount.kind == "file":
            found.append(
                f"{mount.source} is a directory where a file belongs (docker makes one for a missing mount source; "
                "remove it and install the file)"
            )
        elif kind == "file" and mount.kind == "dir":
            found.append(f"{mount.source} is a file where a directory belongs")
    return found


def spec_hash(settled: Dict[str, Any]) -> str:
    """Return the sha256 of settled parameters."""
    return hashlib.sha256(_canonical(settled).encode("utf-8")).hexdigest()


def run_argv(cli: str, name: str, settled: Dict[str, Any], image_id: Optional[str]) -> List[str]:
    """Return the argv that makes the container from an image by its id, by its name when the id is not known yet.

    Docker never pulls an id, and an air-gapped site wants a plain error at once; Docker 18.09 has no ``--pull=never``.
    """
    argv = [cli, "run", "-itd", "--name", name, "-u", settled["user"]]
    argv += ["--ipc", settled["ipc"], "--network", settled["network"], "--restart", settled["restart"]]
    argv += ["--privileged"] if settled["privileged"] else []
    for option, value in (("--stop-signal", settled["stop_signal"]), ("--shm-size", settled["shm_size"])):
        argv += [option, value] if value else []
    for option, values in (
        ("--ulimit", settled["ulimits"]),
        ("--device", settled["devices"]),
        ("--mount", settled["mounts"]),
        ("--add-host", settled["hosts"]),
        ("--env", [f"{key}={value}" for key, value in settled["env"].items()]),
    ):
        for value in values:
            argv += [option, value]
    argv += ["--label", f"{SPEC_LABEL}={spec_hash(settled)}"]
    argv += ["--label", f"{PARAMETERS_LABEL}={_canonical(settled)}"]
    return [*argv, image_id or settled["image"], *settled["command"]]


def decide(
    settled: Dict[str, Any], container: Optional[Container], image: Optional[Image], *, replace_unmanaged: bool
) -> Decision:
    """Compare the container that is there with the one that is wished."""
    if container is None:
        return Decision("create", "there is no such container")
    if SPEC_LABEL not in container.labels:
        if not replace_unmanaged:
            return Decision("refuse", "it was not made by this role")
        return Decision("recreate", "it was not made by this role")
    found = differences(recorded_parameters(container), settled)
    if image is not None and image.id != container.image_id:
        found += (("image id", container.image_id, image.id),)
    if found:
        return Decision("recreate", "it differs in " + ", ".join(item[0] for item in found), found)
    if not container.running:
        return Decision("start", "it is stopped")
    return Decision("nothing", "it is as wished")


def refusal(decision: Decision, name: str, lease_holder: Optional[str]) -> Optional[Problem]:
    """Return why a decision must not be carried out; None when it may."""
    if decision.action == "refuse":
        return Problem(
            check=f"container {name}",
            value=decision.reason,
            rule="a container of another hand is not replaced unasked",
            next_step="remove or rename it, or set telechat_container_replace_unmanaged: true",
        )
    if decision.action == "recreate" and lease_holder:
        return Problem(
            check="job lease",
            value=f"{lease_holder} runs in container {name}",
            rule=f"the container has to be made anew: {decision.reason}",
            next_step="wait for the job, or stop it with telechat-run stop",
        )
    return None


def recorded_parameters(container: Container) -> Dict[str, Any]:
    """Return the parameters a container was made with; empty when its label was damaged."""
    try:
        recorded = json.loads(container.labels.get(PARAMETERS_LABEL, ""))
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}


def differences(before: Dict[str, Any], after: Dict[str, Any]) -> Tuple[Difference, ...]:
    """Return (parameter, before, after) for every parameter that differs."""
    names = sorted(set(before) | set(after))
    return tuple((name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name))


def _mount(mount: Mount) -> str:
    fields = ["type=bind", "source=" + mount.source, "target=" + mount.target]
    fields += ["readonly"] if mount.read_only else []
    # docker reads --mount as a line of CSV
    return ",".join(_csv_field(field) for field in fields)


def _csv_field(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if set(field) & set(',"') else field


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
