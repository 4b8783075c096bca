# SPDX-License-Identifier: Apache-2.0
"""Checks of what nodes share or have to agree on: image, devices, shared paths, the port, clocks; leftovers."""

from __future__ import annotations

from statistics import median_low
from typing import Optional, Sequence

from telechat_runtime.cluster.contract import ON_CPU
from telechat_runtime.doctor.facts import ClockOffset, Finding, NodeFacts, Status, not_seen

# Logs of nodes whose clocks differ by more can't be read together, and storage takes new files for old ones.
MAX_SKEW_SECONDS = 5.0
_SITE = "run site.yml: it makes the container anew"
_MANAGERS = ("/dev/davinci_manager",)
_SHORT_ID = 19  # sha256: and twelve digits, as Docker shows it


def image(facts: NodeFacts) -> Optional[Finding]:
    """The container is of the image that its name means now, and of the same as on the other nodes."""
    if not facts.node.container:
        return None
    found = facts.server.container
    if not found or found.state == "missing":
        return not_seen("there is no such container" if found else "Docker gave no answer")
    if found.wanted_id not in (None, found.image_id):
        detail = f"the container is older than its image {found.image}"
        return Finding(Status.WARN, detail, _SITE)
    if found.image_id != facts.agreed.image_id:
        detail = f"{found.image} is another image ({str(found.image_id)[:_SHORT_ID]}) than on most nodes"
        return Finding(Status.FAIL, detail, "bring the same image archive to all: run site.yml")
    if found.wanted_id is None:
        return Finding(Status.WARN, f"the image {found.image} of the container is gone", "run site.yml")
    return Finding(Status.OK, f"{found.image} {str(found.image_id)[:_SHORT_ID]}")


def devices(facts: NodeFacts) -> Finding:
    """Where jobs run there is a device file of every NPU."""
    found = facts.inside.devices
    if found is None:
        return not_seen(facts.why_not_seen())
    if not found and facts.cluster.device_target == ON_CPU:
        return not_seen("no /dev/davinci*, and telechat_device_target is CPU")
    wanted = [*(f"/dev/davinci{number}" for number in range(facts.node.npu_count)), *_MANAGERS]
    missing = [path for path in wanted if path not in found]
    if missing:
        return Finding(Status.FAIL, f"{', '.join(missing)} missing where jobs run", _SITE)
    return Finding(Status.OK, f"davinci0 to davinci{facts.node.npu_count - 1} are there")


def leftovers(facts: NodeFacts) -> Finding:
    """No process of a job outlived it."""
    found = facts.inside.leftovers
    if found is None:
        return not_seen(facts.why_not_seen())
    if not found:
        return Finding(Status.OK, "no process of a dead job")
    detail = "; ".join(
        f"{job.job_id} ({job.state}) still has {', '.join(str(pid) for pid in job.pids)}" for job in found
    )
    known = [job.job_id for job in found if job.state != "unknown"]
    next_step = " and ".join(f"telechat-run stop {job_id}" for job_id in known)
    return Finding(Status.FAIL, detail, next_step or "end these processes: no job folder of theirs is left")


def shared_paths(facts: NodeFacts) -> Optional[Finding]:
    """telechat_shared_paths exist, can be written, and show what rank 0's node has just written there."""
    if not facts.cluster.shared_paths:
        return None
    if not facts.shared:
        return not_seen(facts.why_not_seen() if facts.inside_error else "the node gave no answer")
    bad = [f"{path}: {answer.error}" for path, answer in facts.shared.items() if answer.error]
    master = facts.cluster.master.name
    bad += [
        f"{path} is not the same folder as on {master}"
        for path, answer in facts.shared.items()
        if not answer.error and not answer.found
    ]
    if bad:
        return Finding(Status.FAIL, "; ".join(bad), "mount the shared storage there, or mend telechat_shared_paths")
    return Finding(Status.OK, f"{', '.join(facts.shared)} shared and writable")


def port(facts: NodeFacts) -> Optional[Finding]:
    """The port of msrun's scheduler is free on rank 0's node."""
    if facts.node.name != facts.cluster.master.name:
        return None
    probe = facts.inside.probe
    if probe is None or probe.port is None:
        return not_seen(facts.why_not_seen())
    wanted, free = probe.port.wanted, probe.port.free
    if free == wanted:
        return Finding(Status.OK, f"{wanted} is free")
    if free is None:
        detail = f"{wanted} and the ports after it are taken"
        return Finding(Status.FAIL, detail, "set telechat_master_port to a free port")
    if probe.lease:
        return Finding(Status.OK, f"{wanted} is taken while {probe.lease.job_id} runs")
    return Finding(
        Status.WARN, f"{wanted} is taken by another program; jobs use {free}", f"ss -ltnp 'sport = {wanted}'"
    )


def clock(facts: NodeFacts) -> Finding:
    """The node's clock tells the time that most nodes' clocks tell."""
    own, most = facts.clock, facts.agreed.clock
    if own is None or most is None:
        return not_seen(facts.why_not_seen())
    skew = own.seconds - most
    if abs(skew) - own.uncertainty > MAX_SKEW_SECONDS:
        detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} most nodes"
        return Finding(Status.WARN, detail, "synchronise the clocks (chrony, ntpd)")
    return Finding(Status.OK, f"within {MAX_SKEW_SECONDS:g} s of most nodes")


def clock_offset(*, sent: float, received: float, began: float, ended: float) -> ClockOffset:
    """Return a node's clock offset as NTP does, from its times and the control side's, all in seconds since 1970.

    What is wrong with it at most is half of the way there and back.
    """
    way = max(0.0, (received - sent) - (ended - began))
    return ClockOffset(seconds=((began - sent) + (ended - received)) / 2, uncertainty=way / 2)


def middle_clock(offsets: Sequence[ClockOffset]) -> Optional[float]:
    """Return the offset in the middle: a single clock that is wrong does not move it."""
    return median_low([offset.seconds for offset in offsets]) if offsets else None
