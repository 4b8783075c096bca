# SPDX-License-Identifier: Apache-2.0
"""What doctor checks of a node: each check is a row of CHECKS and a pure function over what the node answered.

A check that can't see what it needs says so; it never calls that good.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

from telechat_runtime import __version__
from telechat_runtime.errors import ContainerError, ProtocolError, TelechatError, UnreachableError
from telechat_runtime.job import JobState
from telechat_runtime.probe import MIN_FREE_BYTES
from telechat_runtime.topology import Cluster, Node
from telechat_runtime.version_change import advise
from telechat_runtime.version_matrix import NAMES, ON_CPU, Verdict
from telechat_runtime.version_rows import Versions

_CPU = "CPU"
_HEALTHY = "OK"
_SITE = "run site.yml"
VERIFIED = "verified.json"


class Status(str, enum.Enum):
    """How a check ended, in the order of severity."""

    OK = "ok"
    NOT_SEEN = "not seen"
    WARN = "warn"
    FAIL = "fail"

    def __str__(self) -> str:
        return str(self.value)


class Finding(NamedTuple):
    """What a check says of a node; two nodes of the same detail are shown as one."""

    status: Status
    detail: str
    next_step: str = ""


@dataclass(frozen=True)
class NodeFacts:
    """What a node answered, from inside the container and from the server itself, or why it did not.

    `runtime_sha256` is that of the control side's zipapp; None where the node runs the control side's own package.
    """

    cluster: Cluster
    node: Node
    runtime_sha256: Optional[str]
    inside: Mapping[str, Any]
    server: Mapping[str, Any]
    inside_error: Optional[TelechatError] = None
    server_error: Optional[TelechatError] = None

    @property
    def unreachable(self) -> Optional[TelechatError]:
        """Why nothing at all of the node was seen."""
        error = self.inside_error
        reached = self.server or self.inside or not isinstance(error, UnreachableError)
        return None if reached or isinstance(error, ProtocolError) else error

    def section(self, name: str) -> Optional[Mapping[str, Any]]:
        """Return a section of the server's answer, else of the container's; None when neither has it."""
        found: Optional[Mapping[str, Any]] = self.server.get(name) or self.inside.get(name)
        return found

    def versions(self) -> Versions:
        """Return the versions of the server's HDK and of the software where jobs run."""
        inside = self.inside.get("versions", {}).get("versions", {})
        server = self.server.get("versions", {}).get("versions", {})
        hdk = {name: server.get(name) or inside.get(name) for name in _HDK_FIELDS}
        return Versions(**hdk, **{name: inside.get(name) for name in ("cann", "mindspore", "mindformers")})

    def why_not_seen(self) -> str:
        """Say why the container, or the place where jobs run, gave no answer."""
        if self.unreachable:
            return "the node can't be reached"
        return "the container gave no answer" if self.node.container else "the node gave no answer"


_HDK_FIELDS = ("driver", "firmware", "firmware_release", "driver_accepts", "firmware_accepts")


class Check(NamedTuple):
    """A row of the table: the name that people read, and the judge."""

    name: str
    judge: Callable[[NodeFacts], Finding]


def reachable(facts: NodeFacts) -> Finding:
    """The node answers at all."""
    error = facts.unreachable
    return _failed(facts, error) if error else Finding(Status.OK, "answers")


def container(facts: NodeFacts) -> Finding:
    """The container of the jobs runs."""
    name = facts.node.container
    if not name:
        return Finding(Status.OK, "none: jobs run on the server itself")
    if isinstance(facts.inside_error, ContainerError):
        return _failed(facts, facts.inside_error)
    return _not_seen(facts.why_not_seen()) if facts.unreachable else Finding(Status.OK, f"{name} runs")


def runtime(facts: NodeFacts) -> Finding:
    """The node's runtime is the one of the control side."""
    if facts.inside_error:
        unseen = facts.unreachable or isinstance(facts.inside_error, ContainerError)
        return _not_seen(facts.why_not_seen()) if unseen else _failed(facts, facts.inside_error)
    found = facts.inside["versions"]["runtime"]
    if facts.runtime_sha256 in (None, found["sha256"]) and found["version"] == __version__:
        return Finding(Status.OK, f"{__version__}, that of this machine")
    same = f"{__version__} of other sources" if found["version"] == __version__ else str(found["version"])
    return Finding(Status.WARN, f"{same}, this machine has {__version__}", f"{_SITE}: it brings this machine's")


def installed_runs(facts: NodeFacts) -> Finding:
    """Driver and firmware that run on every chip are those installed, and the driver calls them compatible."""
    chips, versions = facts.section("chips"), facts.versions()
    boards = chips["boards"] if chips else []
    if versions.driver is None or not boards:
        return _not_seen("no chip answered" if versions.driver else "no driver is found")
    bad = []
    for part, installed in (("driver", versions.driver), ("firmware", versions.firmware)):
        others = sorted({str(board[part]) for board in boards if installed and _differ(board[part], installed)})
        if others:
            bad.append(f"{part} {installed} is installed, {', '.join(others)} runs")
    if bad:
        return Finding(Status.FAIL, "; ".join(bad), "reboot: run playbooks/hdk.yml")
    words = sorted({board["compatibility"] for board in boards if board["compatibility"] not in (None, _HEALTHY)})
    if words:
        detail = f"npu-smi calls the compatibility of driver and firmware {', '.join(words)}"
        return Finding(Status.FAIL, detail, "bring both to one HDK release: run playbooks/hdk.yml")
    firmware = f"firmware {versions.firmware}" if versions.firmware else "firmware not seen on disk"
    return Finding(Status.OK, f"driver {versions.driver}, {firmware}")


def matrix(facts: NodeFacts) -> Finding:
    """The versions of HDK and image fit each other."""
    advice = advise(facts.versions(), facts.cluster.device_target)
    judged = ON_CPU if facts.cluster.device_target == _CPU else tuple(NAMES)
    versions = {NAMES[name]: getattr(advice.versions, name) for name in judged}
    seen = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    status = _BY_VERDICT[advice.judgement.verdict]
    if status is Status.NOT_SEEN:
        return _not_seen("; ".join([f"no {', no '.join(advice.judgement.not_seen)} found", *advice.judgement.reasons]))
    if status is Status.OK:
        unseen = f" ({', '.join(advice.judgement.not_seen)} not seen)" if advice.judgement.not_seen else ""
        return Finding(Status.OK, f"{seen} are on the matrix{unseen}")
    word = "works, not recommended" if status is Status.WARN else "broken"
    return Finding(status, f"{word}: {advice.reason}", advice.next_step)


_BY_VERDICT = {
    Verdict.UNKNOWN: Status.NOT_SEEN,
    Verdict.ON: Status.OK,
    Verdict.OFF: Status.WARN,
    Verdict.BROKEN: Status.FAIL,
}


def chips(facts: NodeFacts) -> Finding:
    """All NPUs are there, and in good health."""
    found = facts.section("chips")
    if found is None:
        return _not_seen(facts.why_not_seen())
    if not found["program"] and facts.cluster.device_target == _CPU:
        return _not_seen("no npu-smi, and telechat_device_target is CPU")
    if not found["chips"]:
        return Finding(Status.FAIL, str(found["error"]), "run playbooks/hdk.yml: it says what the driver lacks")
    ill = [f"NPU {chip['npu_id']} is {chip['health']}" for chip in found["chips"] if chip["health"] != _HEALTHY]
    count, wanted = len(found["chips"]), facts.node.npu_count
    if count != wanted:
        ill.insert(0, f"{count} chips answer, ascend_npu_count is {wanted}")
    if ill:
        return Finding(Status.FAIL, "; ".join(ill), "npu-smi info -t health -i NPU -c 0 has the error code")
    return Finding(Status.OK, f"{count} chips OK")


def kernel(facts: NodeFacts) -> Finding:
    """The kernels that a reboot may start have a module of the driver."""
    found = facts.server.get("kernels")
    if not found:
        return _not_seen("the server's kernels are out of sight")
    newest = found["installed"][-1]
    if facts.versions().driver is None:
        return _not_seen("no driver is found")
    if newest in found["with_module"]:
        return Finding(Status.OK, f"the newest kernel, {newest}, has the driver's module")
    if newest == found["running"]:
        return Finding(Status.FAIL, f"kernel {newest} runs without the driver's module", "run playbooks/rebuild.yml")
    detail = f"kernel {newest} is newer than the running one and has no module of the driver"
    return Finding(Status.WARN, detail, "before the next reboot run playbooks/rebuild.yml")


def jobs(facts: NodeFacts) -> Finding:
    """No job was lost, and no lease is left behind."""
    found = facts.inside.get("jobs")
    if found is None:
        return _not_seen(facts.why_not_seen())
    lost = [job["job_id"] for job in found["jobs"] if job["state"] == JobState.LOST]
    stale = found.get("stale_lease")
    if stale and stale["job_id"] not in lost:
        lost.append(stale["job_id"])
    if lost:
        detail = f"{', '.join(lost)} lost its supervisor"
        return Finding(Status.WARN, detail, " and ".join(f"telechat-run stop {job_id}" for job_id in lost))
    lease = found["lease"]
    return Finding(Status.OK, f"{lease['owner']} runs {lease['job_id']}" if lease else "idle")


def job_root(facts: NodeFacts) -> Finding:
    """There is room for a job's logs and checkpoints."""
    found = facts.inside.get("probe")
    if found is None:
        return _not_seen(facts.why_not_seen())
    if found["free_bytes"] < MIN_FREE_BYTES:
        detail = f"only {found['free_bytes'] >> 20} MiB free in {found['job_root']}; a job needs {MIN_FREE_BYTES >> 20}"
        return Finding(Status.FAIL, detail, "make room, or set telechat_job_root")
    return Finding(Status.OK, f"{found['job_root']} has room")


def own_name(facts: NodeFacts) -> Finding:
    """The node's own host name resolves: of several nodes each has to find the others."""
    found = facts.inside.get("probe")
    if found is None:
        return _not_seen(facts.why_not_seen())
    if found["resolves"]:
        return Finding(Status.OK, "resolves")
    status = Status.FAIL if len(facts.cluster.nodes) > 1 else Status.WARN
    return Finding(status, f"{found['hostname']!r} does not resolve", "add it to /etc/hosts")


def verified(facts: NodeFacts) -> Finding:
    """The role verify has passed with the versions that are there now."""
    found = facts.inside.get("probe")
    if not facts.node.runtime_path:
        return _not_seen("this machine is not set up by site.yml")
    if found is None:
        return _not_seen(facts.why_not_seen())
    record = _record(next(iter(found["read"].values()), None))
    if not record:
        return Finding(Status.WARN, "never passed", "run playbooks/verify.yml")
    before, now = record.get("fingerprint", {}), facts.versions()
    changed = [name for name in ("driver", "firmware") if getattr(now, name) and before.get(name) != getattr(now, name)]
    if changed:
        return Finding(Status.WARN, f"{' and '.join(changed)} changed since it passed", "run playbooks/verify.yml")
    return Finding(Status.OK, "passed")


CHECKS: Tuple[Check, ...] = (
    Check("reachable", reachable),
    Check("container", container),
    Check("runtime", runtime),
    Check("chips", chips),
    Check("hdk", installed_runs),
    Check("matrix", matrix),
    Check("kernel", kernel),
    Check("jobs", jobs),
    Check("job root", job_root),
    Check("own name", own_name),
    Check("verified", verified),
)


def check_node(facts: NodeFacts) -> Dict[str, Finding]:
    """Return every check's finding by name."""
    return {check.name: check.judge(facts) for check in CHECKS}


def _failed(facts: NodeFacts, error: TelechatError) -> Finding:
    return Finding(Status.FAIL, error.message.replace(f"{facts.node.name}: ", "", 1), error.next_step)


def _not_seen(reason: str) -> Finding:
    return Finding(Status.NOT_SEEN, reason)


def _differ(running: Optional[str], installed: str) -> bool:
    return (running or "").lower() != installed.lower()


def _record(text: Optional[str]) -> Dict[str, Any]:
    try:
        record = json.loads(text or "null")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
