# SPDX-License-Identifier: Apache-2.0
"""What doctor checks of a node: each check is a row of CHECKS and a pure function over what the node answered.

A check that can't see what it needs says so; it never calls that good.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from telechat_runtime import __version__
from telechat_runtime.cluster.contract import ON_CPU
from telechat_runtime.doctor import checks_fleet, checks_network
from telechat_runtime.doctor.facts import Finding, NodeFacts, Status, not_seen
from telechat_runtime.errors import ContainerError, TelechatError
from telechat_runtime.job.state import JobState
from telechat_runtime.plan.node_facts import MIN_FREE_BYTES
from telechat_runtime.versions.advice import advise
from telechat_runtime.versions.judge import JUDGED_ON_CPU, NAMES, Verdict

_HEALTHY = "OK"
_SITE = "run site.yml"


class Check(NamedTuple):
    """A row of the table: the name that people read, and the judge; None is for a node that it does not concern."""

    name: str
    judge: Callable[[NodeFacts], Optional[Finding]]


def reachable(facts: NodeFacts) -> Finding:
    """The node answers at all."""
    error = facts.unreachable
    return _failed(error) if error else Finding(Status.OK, "answers")


def container(facts: NodeFacts) -> Finding:
    """The container of the jobs runs."""
    name = facts.node.container
    if not name:
        return Finding(Status.OK, "none: jobs run on the server itself")
    if isinstance(facts.inside_error, ContainerError):
        return _failed(facts.inside_error)
    return not_seen(facts.why_not_seen()) if facts.unreachable else Finding(Status.OK, f"{name} runs")


def runtime(facts: NodeFacts) -> Finding:
    """The node's runtime is the one of the control side."""
    if facts.protocol_fault:
        return _failed(facts.protocol_fault)
    if facts.inside_error:
        unseen = facts.unreachable or isinstance(facts.inside_error, ContainerError)
        return not_seen(facts.why_not_seen()) if unseen else _failed(facts.inside_error)
    if facts.inside.versions is None:
        return not_seen(facts.why_not_seen())
    found = facts.inside.versions.runtime
    if facts.runtime_sha256 in (None, found.sha256) and found.version == __version__:
        return Finding(Status.OK, f"{__version__}, that of this machine")
    same = f"{__version__} of other sources" if found.version == __version__ else found.version
    return Finding(Status.WARN, f"{same}, this machine has {__version__}", f"{_SITE}: it brings this machine's")


def installed_runs(facts: NodeFacts) -> Finding:
    """Driver and firmware that run on every chip are those installed, and the driver calls them compatible."""
    chips, versions = facts.chips, facts.versions()
    boards = chips.boards if chips else ()
    if versions.driver is None or not boards:
        return not_seen("no chip answered" if versions.driver else "no driver is found")
    bad = []
    for part, installed in (("driver", versions.driver), ("firmware", versions.firmware)):
        others = sorted(
            {str(getattr(board, part)) for board in boards if installed and _differ(getattr(board, part), installed)}
        )
        if others:
            bad.append(f"{part} {installed} is installed, {', '.join(others)} runs")
    if bad:
        return Finding(Status.FAIL, "; ".join(bad), "reboot: run playbooks/hdk.yml")
    words = sorted({board.compatibility for board in boards if board.compatibility not in (None, _HEALTHY)})
    if words:
        detail = f"npu-smi calls the compatibility of driver and firmware {', '.join(words)}"
        return Finding(Status.FAIL, detail, "bring both to one HDK release: run playbooks/hdk.yml")
    firmware = f"firmware {versions.firmware}" if versions.firmware else "firmware not seen on disk"
    return Finding(Status.OK, f"driver {versions.driver}, {firmware}")


def matrix(facts: NodeFacts) -> Finding:
    """The versions of HDK and image fit each other."""
    advice = advise(facts.versions(), facts.cluster.device_target)
    judged = JUDGED_ON_CPU if facts.cluster.device_target == ON_CPU else tuple(NAMES)
    versions = {NAMES[name]: getattr(advice.versions, name) for name in judged}
    seen = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    status = _BY_VERDICT[advice.judgement.verdict]
    if status is Status.NOT_SEEN:
        return not_seen("; ".join([f"no {', no '.join(advice.judgement.not_seen)} found", *advice.judgement.reasons]))
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
    found = facts.chips
    if found is None:
        return not_seen(facts.why_not_seen())
    if not found.program and facts.cluster.device_target == ON_CPU:
        return not_seen("no npu-smi, and telechat_device_target is CPU")
    if not found.chips:
        return Finding(Status.FAIL, str(found.error), "run playbooks/hdk.yml: it says what the driver lacks")
    ill = [f"NPU {chip.npu_id} is {chip.health}" for chip in found.chips if chip.health != _HEALTHY]
    count, wanted = len(found.chips), facts.node.npu_count
    if count != wanted:
        ill.insert(0, f"{count} chips answer, ascend_npu_count is {wanted}")
    if ill:
        return Finding(Status.FAIL, "; ".join(ill), "npu-smi info -t health -i NPU -c 0 has the error code")
    return Finding(Status.OK, f"{count} chips OK")


def service(facts: NodeFacts) -> Finding:
    """The node takes jobs."""
    found = facts.server.service
    if found is None:
        return not_seen("the server is out of sight")
    out, upgrade = found.service, found.upgrade
    if out is None:
        return Finding(Status.OK, "in service")
    detail = f"out of service: {out.as_text()}"
    if out.kind == "upgrade":
        state = f", {upgrade.state}" if upgrade else ""
        return Finding(Status.WARN, f"{detail}{state}", "run playbooks/upgrade.yml again: it goes on from there")
    return Finding(Status.WARN, detail, f"telechat-run uncordon {facts.node.name} puts it in again")


def kernel(facts: NodeFacts) -> Finding:
    """The kernels that a reboot may start have a module of the driver."""
    found = facts.server.kernels
    if found is None or not found.installed:
        return not_seen("the server's kernels are out of sight")
    newest = found.installed[-1]
    if facts.versions().driver is None:
        return not_seen("no driver is found")
    if newest in found.with_module:
        return Finding(Status.OK, f"the newest kernel, {newest}, has the driver's module")
    if newest == found.running:
        return Finding(Status.FAIL, f"kernel {newest} runs without the driver's module", "run playbooks/rebuild.yml")
    detail = f"kernel {newest} is newer than the running one and has no module of the driver"
    return Finding(Status.WARN, detail, "before the next reboot run playbooks/rebuild.yml")


def jobs(facts: NodeFacts) -> Finding:
    """No job was lost, and no lease is left behind."""
    found = facts.inside.jobs
    if found is None:
        return not_seen(facts.why_not_seen())
    lost = [job.job_id for job in found.jobs if job.state is JobState.LOST]
    stale = found.stale_lease
    if stale and stale.job_id not in lost:
        lost.append(stale.job_id)
    if lost:
        detail = f"{', '.join(lost)} lost its supervisor"
        return Finding(Status.WARN, detail, " and ".join(f"telechat-run stop {job_id}" for job_id in lost))
    lease = found.lease
    return Finding(Status.OK, f"{lease.owner} runs {lease.job_id}" if lease else "idle")


def job_root(facts: NodeFacts) -> Finding:
    """There is room for a job's logs and checkpoints."""
    found = facts.inside.probe
    if found is None:
        return not_seen(facts.why_not_seen())
    if found.free_bytes < MIN_FREE_BYTES:
        detail = f"only {found.free_bytes >> 20} MiB free in {found.job_root}; a job needs {MIN_FREE_BYTES >> 20}"
        return Finding(Status.FAIL, detail, "make room, or set telechat_job_root")
    return Finding(Status.OK, f"{found.job_root} has room")


def own_name(facts: NodeFacts) -> Finding:
    """The node's own host name resolves: of several nodes each has to find the others."""
    found = facts.inside.probe
    if found is None:
        return not_seen(facts.why_not_seen())
    if found.resolves:
        return Finding(Status.OK, "resolves")
    status = Status.FAIL if len(facts.cluster.nodes) > 1 else Status.WARN
    return Finding(status, f"{found.hostname!r} does not resolve", "add it to /etc/hosts")


def verified(facts: NodeFacts) -> Finding:
    """The role verify has passed with the versions that are there now."""
    found = facts.inside.probe
    if not facts.node.runtime_path:
        return not_seen("this machine is not set up by site.yml")
    if found is None:
        return not_seen(facts.why_not_seen())
    record = _record(next(iter(found.read.values()), None))
    if not record:
        return Finding(Status.WARN, "never passed", "run playbooks/verify.yml")
    before, now = record.get("fingerprint", {}), facts.versions()
    changed = [name for name in ("driver", "firmware") if getattr(now, name) and before.get(name) != getattr(now, name)]
    if changed:
        return Finding(Status.WARN, f"{' and '.join(changed)} changed since it passed", "run playbooks/verify.yml")
    return Finding(Status.OK, "passed")


CHECKS: Tuple[Check, ...] = (
    Check("reachable", reachable),
    Check("service", service),
    Check("container", container),
    Check("image", checks_fleet.image),
    Check("runtime", runtime),
    Check("chips", chips),
    Check("devices", checks_fleet.devices),
    Check("hdk", installed_runs),
    Check("matrix", matrix),
    Check("kernel", kernel),
    Check("hccn ip", checks_network.address),
    Check("hccn link", checks_network.link),
    Check("hccn net", checks_network.net_health),
    Check("hccn tls", checks_network.tls),
    Check("hccn ping", checks_network.ping),
    Check("jobs", jobs),
    Check("leftovers", checks_fleet.leftovers),
    Check("job root", job_root),
    Check("shared", checks_fleet.shared_paths),
    Check("own name", own_name),
    Check("port", checks_fleet.port),
    Check("clock", checks_fleet.clock),
    Check("verified", verified),
)


def check_node(facts: NodeFacts) -> Dict[str, Finding]:
    """Return the finding of every check that concerns the node, by name."""
    judged = ((check.name, check.judge(facts)) for check in CHECKS)
    return {name: finding for name, finding in judged if finding is not None}


def _failed(error: TelechatError) -> Finding:
    return Finding(Status.FAIL, error.detail, error.next_step)


def _differ(running: Optional[str], installed: str) -> bool:
    return (running or "").lower() != installed.lower()


def _record(text: Optional[str]) -> Dict[str, Any]:
    try:
        record = json.loads(text or "null")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
