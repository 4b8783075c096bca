# SPDX-License-Identifier: Apache-2.0
"""`node watch`: log lines, states and heartbeats of a job until it has ended."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Callable, Dict

from telechat_runtime.node.logs.follow import LogFollower
from telechat_runtime.node.supervision.state import job_paths, read_state

HEARTBEAT_SECONDS = 2.0
_POLL_SECONDS = 0.2


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write events until the job's last state, which comes after all of its log lines. Return 0 whatever that is."""
    try:
        _watch(request, out)
    except BrokenPipeError:
        # The control side went away; what is still buffered has no reader either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _watch(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> None:
    paths = job_paths(request, request["job_id"])
    follower = LogFollower(paths.logs, ranks=request.get("ranks"), offsets=request.get("offsets") or {})
    tail, since = request.get("tail"), request.get("since")
    if tail is not None or since is not None:
        out({"event": "begin", "offsets": follower.skip(tail=tail, since=since)})
    shown = None
    next_heartbeat = 0.0
    while True:
        # The state is read before the logs: once it is terminal, the logs hold all that there will be.
        job = read_state(paths)
        ended = job.state.is_terminal
        for event in follower.read(last=ended):
            out(event)
        if job.state is not shown:
            out(job.as_event())
            shown = job.state
        if ended:
            return
        now = time.monotonic()
        if now >= next_heartbeat:
            out({"event": "heartbeat"})
            next_heartbeat = now + HEARTBEAT_SECONDS
        time.sleep(_POLL_SECONDS)
