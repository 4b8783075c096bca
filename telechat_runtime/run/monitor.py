# SPDX-License-Identifier: Apache-2.0
"""A running job as the control side sees it: takes the nodes' events, and knows in the end how the job went."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Tuple, Union

from telechat_runtime.errors import UnreachableError
from telechat_runtime.job.events import LogLine, NodeOutcome, NodeState, Notice, Observer, Training
from telechat_runtime.job.failure import failure_of
from telechat_runtime.job.known_errors import known_error
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState
from telechat_runtime.job.training_log import Speed, Step, parse_line
from telechat_runtime.plan.plan import JobPlan, NodePlan
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.resumed_watch import ResumedWatch, watch_job
from telechat_runtime.remote.watch import RECONNECT_SECONDS, FleetWatch, NodeBack, NodeEvent, NodeLost, NodeSilent

_LAST_LINES = 20
# More than what a worker writes between its newest step and its end, a traceback included.
_LAST_STEPS_LINES = 200
_LAST_LINES_SECONDS = 10.0


class JobView:
    """Keeps every node's outcome, the first failure, and the progress of the worker whose loss counts."""

    def __init__(self, plan: JobPlan, clients: Mapping[str, NodeClient], observer: Observer) -> None:
        self.plan = plan
        self.clients = clients
        self.tell = observer
        self.nodes: Dict[str, NodePlan] = {node.node.name: node for node in plan.nodes}
        self.outcomes = {
            name: NodeOutcome(node=name, node_rank=node.node_rank, state=JobState.STARTING)
            for name, node in self.nodes.items()
        }
        self._first_heard: Optional[str] = None
        self._failed: List[str] = []
        self._first_step: Optional[Step] = None
        self._last_step: Optional[Step] = None
        self._speed: Optional[Speed] = None

    @property
    def first_failure(self) -> Optional[str]:
        """The node that failed first, as far as is known by now.

        Of several that fail at once, the first to be heard may be one that only lost another's worker or scheduler.
        """
        if self._first_heard is None or not self._is_secondary(self._first_heard):
            return self._first_heard
        return next((name for name in self._failed if not self._is_secondary(name)), self._first_heard)

    def running(self) -> List[str]:
        """Return the nodes whose part has not ended."""
        return [name for name, outcome in self.outcomes.items() if not outcome.state.is_terminal]

    def watch(self, *, all_ranks: bool, silence: float, tail: Optional[int] = None) -> FleetWatch:
        """Begin to follow the nodes that still run; logs from `tail` lines before their end on, None: from the start.

        Followed are the logs of the first and the last rank and of the one whose loss counts, or with `all_ranks` all.
        A node that is silent for `silence` seconds is lost, but for a job that its nodes end among themselves: that is
        looked for on and on.
        """
        endless = self.plan.ends_by_itself

        def begin(node: NodePlan) -> Callable[[], ResumedWatch]:
            wanted = {0, self.plan.metric_rank, self.plan.world_size - 1}
            own = range(node.first_rank, node.first_rank + self.plan.workers_per_node)
            ranks = None if all_ranks else sorted(wanted.intersection(own))
            client, job_id, job_root = self.clients[node.node.name], self.plan.job_id, node.paths.job_root
            patience = math.inf if endless else silence
            return lambda: watch_job(client, job_id, job_root, ranks=ranks, patience=patience, tail=tail)

        return FleetWatch(
            {name: begin(self.nodes[name]) for name in self.running()},
            heartbeat_timeout=silence,
            patience=RECONNECT_SECONDS if endless else None,
        )

    def take(self, name: str, event: NodeEvent) -> None:
        """Take an event of a node's watch. Raises UnreachableError when no node of the job can be found any more.

        Raises ProtocolError when a node can't be understood: the job runs on, nobody here can judge it.
        """
        if self.outcomes[name].state.is_terminal:
            return
        if isinstance(event, NodeLost):
            if event.fault is not None:
                raise event.fault
            if event.unheard:
                raise UnreachableError(
                    f"no node of job {self.plan.job_id} has been heard for {RECONNECT_SECONDS:g} s; it may still run",
                    next_step=f"when they can be reached again: `telechat-run attach {self.plan.job_id}`",
                )
            self._take_end(name, JobState.LOST, {"reason": event.reason, "failure": event.failure.as_dict()})
        elif isinstance(event, NodeSilent):
            self.tell(Notice(f"{name} has not been heard for {event.seconds:g} s; the job goes on, looking for it"))
        elif isinstance(event, NodeBack):
            self.tell(Notice(f"{name} is heard again"))
        elif event["event"] == "log":
            self._take_line(name, event)
        elif event["event"] == "state":
            state = JobState(event["state"])
            if state.is_terminal:
                self._take_end(name, state, event)

    def note_end(self, name: str, state: JobState, event: Mapping[str, Any]) -> None:
        """Note how a node's part has ended."""
        self.outcomes[name] = dataclasses.replace(
            self.outcomes[name],
            state=state,
            exit_code=event.get("exit_code"),
            reason=event.get("reason") or "",
            failed_rank=event.get("failed_rank"),
            failure=failure_of(event),
        )
        if state in (JobState.FAILED, JobState.LOST):
            self._failed.append(name)
        self.tell(NodeState(name, state, self.outcomes[name].reason))

    def note_left(self, name: str, left: Tuple[int, ...]) -> None:
        """Note which processes outlived a stop."""
        self.outcomes[name] = dataclasses.replace(self.outcomes[name], left=left)

    def add_last_lines(self) -> None:
        """Put the last lines of the rank that failed first into the outcome of its node."""
        first = self.first_failure
        if first is None:
            return
        failed = self.outcomes[first]
        if failed.failed_rank is not None:
            lines = self._read_last_lines(self.nodes[failed.node], failed.failed_rank)
            self.outcomes[failed.node] = dataclasses.replace(failed, last_lines=lines)

    def add_last_steps(self) -> None:
        """Take the newest steps from the log of a job that had ended before anybody watched it."""
        rank = self.plan.metric_rank
        node = self.plan.nodes[rank // self.plan.workers_per_node]
        for line in self._read_last_lines(node, rank, _LAST_STEPS_LINES):
            self._note_progress(line)

    def report(self, seconds: float, *, interrupted: bool) -> Report:
        """Return how the job went."""
        return Report(
            job_id=self.plan.job_id,
            folder=self.plan.nodes[0].paths.folder,
            seconds=seconds,
            interrupted=interrupted,
            nodes=tuple(self.outcomes.values()),
            first_failure=self.first_failure,
            first_step=self._first_step,
            last_step=self._last_step,
            speed=self._speed,
        )

    def _take_end(self, name: str, state: JobState, event: Mapping[str, Any]) -> None:
        self.note_end(name, state, event)
        if state is not JobState.SUCCEEDED and self._first_heard is None:
            # A node that ends with another one is not the first, even if it is the first to say so.
            cause = event.get("cause")
            self._first_heard = cause if cause in self.nodes else name

    def _is_secondary(self, name: str) -> bool:
        known = known_error(self.outcomes[name].failure)
        return known is not None and known.is_secondary

    def _take_line(self, name: str, event: Mapping[str, Any]) -> None:
        line, rank = event["line"], event.get("rank")
        self.tell(LogLine(node=name, rank=rank, log=event["log"], text=line))
        if rank == self.plan.metric_rank:
            found = self._note_progress(line)
            if found is not None:
                self.tell(Training(found))

    def _note_progress(self, line: str) -> Union[Step, Speed, None]:
        found = parse_line(line)
        if isinstance(found, Step):
            self._first_step = self._first_step or found
            self._last_step = found
        elif isinstance(found, Speed):
            self._speed = found
        return found

    def _read_last_lines(self, node: NodePlan, rank: int, count: int = _LAST_LINES) -> Tuple[str, ...]:
        name = node.node.name
        client, job_id, job_root = self.clients[name], self.plan.job_id, node.paths.job_root
        watch = FleetWatch(
            {name: lambda: client.watch(job_id, job_root, ranks=[rank], tail=count)},
            heartbeat_timeout=_LAST_LINES_SECONDS,
        )
        lines: Deque[str] = deque(maxlen=count)
        deadline = time.monotonic() + _LAST_LINES_SECONDS
        try:
            while time.monotonic() < deadline:
                item = watch.poll()
                if item is None:
                    continue
                event = item[1]
                if not isinstance(event, dict) or (event["event"] == "state" and JobState(event["state"]).is_terminal):
                    break
                if event["event"] == "log":
                    lines.append(event["line"])
        finally:
            watch.close()
        return tuple(lines)
