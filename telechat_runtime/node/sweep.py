# SPDX-License-Identifier: Apache-2.0
"""`node sweep`: what dead jobs have left on this server, and its removal.

It runs on the server itself, which sees the processes of its containers too. What it cannot prove to be a job's is
shown and left alone: a process is one's when it has the job's id in its environment and the job's plan lies in this
job root; a lease, when nobody holds its lock; a port or memory never is.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List

from telechat_runtime.errors import PreflightError
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.job.state import JobState
from telechat_runtime.node.facts import leftovers, listeners, npu_memory
from telechat_runtime.node.stop import settle
from telechat_runtime.node.supervision import lease
from telechat_runtime.node.supervision.processes import command_of, end_job
from telechat_runtime.node.supervision.state import job_paths, read_state

_NO_PROOF = "no such job in {}: whose it is can't be proved"
_TAKEN = "the node is held by job {}"


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write all findings, one object each.

    Each has kind, job_id, detail, ours (it may be cleaned), why (it may not), done (what became of it), gone (by now).
    With `clean` what is ours is removed; with `reset_chips` chips whose memory nobody holds are reset, if the node is
    free. `jobs` narrows it to some job ids.
    """
    sweep = _Sweep(request)
    findings = [
        *sweep.processes(),
        *sweep.stale_lease(),
        *sweep.lost_jobs(),
        *sweep.port(),
        *sweep.chips(),
    ]
    out({"findings": findings})
    return 0


class _Sweep:
    def __init__(self, request: Dict[str, Any]) -> None:
        self._request = request
        self._root = job_paths(request, "sweep").job_root
        self._clean = bool(request.get("clean"))
        self._by = str(request.get("by") or "somebody")
        self._grace_seconds = float(request.get("grace_seconds", 0))
        self._left: List[str] = []

    def processes(self) -> List[Dict[str, Any]]:
        """Return the processes of jobs that have ended, or that nobody answers for; end them if asked to."""
        found = []
        for each in leftovers.look(self._request):
            job_id = each["job_id"]
            if not self._is_wanted(job_id):
                continue
            detail = "; ".join(f"{pid} {command_of(pid)}" for pid in each["pids"])
            ours = os.path.exists(JobPaths(self._root, job_id).plan)
            finding = _finding("processes", job_id, detail, ours=ours, why="" if ours else _NO_PROOF.format(self._root))
            if self._clean and ours:
                ended, left = end_job(job_id, self._grace_seconds)
                finding.update(done=f"ended {len(ended)}", gone=not left)
                if left:
                    self._left.append(job_id)
                    pids = ", ".join(map(str, left))
                    finding["done"] = f"{pids} outlive SIGKILL: they hang in the kernel, a reboot ends them"
            found.append(finding)
        return found

    def lost_jobs(self) -> List[Dict[str, Any]]:
        """Return the jobs whose state says running while nobody answers for them; write down how they ended."""
        found = []
        for job_id in sorted(_names(os.path.join(self._root, "jobs"))):
            paths = JobPaths(self._root, job_id)
            if not self._is_wanted(job_id) or _state(paths) is not JobState.LOST:
                continue
            finding = _finding("lost job", job_id, "its state says running, and nobody answers for it", ours=True)
            if self._clean and job_id not in self._left:
                settle(paths, f"its supervisor was gone; swept by {self._by}")
                finding.update(done="noted as STOPPED", gone=True)
            found.append(finding)
        return found

    def stale_lease(self) -> List[Dict[str, Any]]:
        """Return the lease of a job whose holder is gone; clear it."""
        looked = lease.look(JobPaths(self._root, "sweep"))
        job_id = str((looked.stale or {}).get("job_id"))
        if not looked.stale or not self._is_wanted(job_id):
            return []
        finding = _finding(
            "lease", job_id, f"of {looked.stale.get('owner')} since {looked.stale.get('since')}", ours=True
        )
        if self._clean and job_id not in self._left:
            lease.clear(JobPaths(self._root, job_id))
            finding.update(done="cleared", gone=True)
        return [finding]

    def port(self) -> List[Dict[str, Any]]:
        """Return who listens on the scheduler's port while no job runs here."""
        port = self._request.get("port")
        if not port or self._holder() or self._request.get("jobs"):
            return []
        return [
            _finding(
                "port", "", f"{port} is taken by {who}", ours=False, why="no job's: end it by hand, or set another port"
            )
            for who in listeners.on_port(int(port))
        ]

    def chips(self) -> List[Dict[str, Any]]:
        """Return the chips whose memory nobody holds; reset them if asked to, and no job holds the node."""
        if not self._request.get("npus") or self._request.get("jobs"):
            return []
        holder = self._holder()
        found = []
        for each in npu_memory.held_by_nobody():
            finding = _finding(
                "NPU memory", "", npu_memory.state(each), ours=False, why="--reset-chips resets the chip"
            )
            if holder:
                finding["why"] = _TAKEN.format(holder)
            elif self._clean and self._request.get("reset_chips"):
                said = npu_memory.reset(each["npu_id"], each["chip_id"])
                finding.update(done=f"reset failed: {said}" if said else "reset", gone=not said)
            found.append(finding)
        return found

    def _holder(self) -> str:
        held = lease.look(JobPaths(self._root, "sweep")).held
        return str(held.get("job_id")) if held else ""

    def _is_wanted(self, job_id: str) -> bool:
        jobs = self._request.get("jobs")
        return not jobs or job_id in jobs


def _finding(kind: str, job_id: str, detail: str, *, ours: bool, why: str = "") -> Dict[str, Any]:
    return {"kind": kind, "job_id": job_id, "detail": detail, "ours": ours, "why": why, "done": "", "gone": False}


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _state(paths: JobPaths) -> JobState | None:
    try:
        return read_state(paths).state
    except PreflightError:
        return None
