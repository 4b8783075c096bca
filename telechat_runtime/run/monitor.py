# SPDX-License-Identifier: Apache-2.0
"""A running job as the control side sees it: takes the nodes' events, and knows in the end how the job went."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import deque
from typing import Callable, Deque, Dict, List, Mapping, Optional, Tuple, Union

from telechat_runtime.errors import UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import LogLine, NodeOutcome, NodeState, Notice, Observer, Training
from telechat_runtime.job.known_errors import known_error
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState
from telechat_runtime.job.training_log import Speed, Step, parse_line
from telechat_runtime.plan.plan import JobPlan, NodePlan
from telechat_runtime.remote.answers.jobs import PartState
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.events import LogEvent, StateEvent
from telechat_runtime.remote.watch import (
    RECONNECT_SECONDS,
    FleetWatch,
    NodeBack,
    NodeEvent,
    NodeLost,
    NodeSilent,
    ResumedWatch,
    watch_job,
)

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

    def follow(self, watch: FleetWatch, interrupt: Interrupt, *, to_first_failure: bool) -> None:
        """Take the nodes' events until all parts have ended, up to Ctrl-C, or up to the first failure.

        Raises what `take` raises. Closes the watch.
        """
        with contextlib.closing(watch):
            for name, event in watch.follow(interrupt):
                self.take(name, event)
                if self.outcomes[name].state.is_terminal:
                    watch.ended(name)
                if to_first_failure and self.first_failure is not None:
                    return

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
            self.take_end(name, PartState(JobState.LOST, None, event.reason, None, "", event.failure))
        elif isinstance(event, NodeSilent):
            self.tell(Notice(f"{name} has not been heard for {event.seconds:g} s; the job goes on, looking for it"))
        elif isinstance(event, NodeBack):
            self.tell(Notice(f"{name} is heard again"))
        elif isinstance(event, LogEvent):
            self._take_line(name, event)
        elif isinstance(event, StateEvent) and event.state.is_terminal:
            self.take_end(name, event)

    def take_end(self, name: str, end: PartState) -> None:
        """Note how a node's part has ended, and which node failed first if none had yet."""
        self.note_end(name, end)
        if end.state is not JobState.SUCCEEDED and self._first_heard is None:
            # A node that ends with another one is not the first, even if it is the first to say so.
            self._first_heard = end.cause if end.cause in self.nodes else name

    def note_end(self, name: str, end: PartState) -> None:
        """Note how a node's part has ended."""
        self.outcomes[name] = dataclasses.replace(
            self.outcomes[name],
            state=end.state,
            exit_code=end.exit_code,
            reason=end.reason,
            failed_rank=end.failed_rank,
            failure=end.failure,
        )
        if end.state in (JobState.FAILED, JobState.LOST):
            self._failed.append(name)
        self.tell(NodeState(name, end.state, end.reason))

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

    def _is_secondary(self, name: str) -> bool:
        known = known_error(self.outcomes[name].failure)
        return known is not None and known.is_secondary

    def _take_line(self, name: str, event: LogEvent) -> None:
        self.tell(LogLine(node=name, rank=event.rank, log=event.log, text=event.line))
        if event.rank == self.plan.metric_rank:
            found = self._note_progress(event.line)
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
        begin = {name: lambda: client.watch(job_id, job_root, ranks=[rank], tail=count)}
        lines: Deque[str] = deque(maxlen=count)
        with contextlib.closing(FleetWatch(begin, heartbeat_timeout=_LAST_LINES_SECONDS)) as watch:
            for _, event in watch.follow(Interrupt(), seconds=_LAST_LINES_SECONDS):
                if isinstance(event, LogEvent):
                    lines.append(event.line)
                elif isinstance(event, NodeLost) or (isinstance(event, StateEvent) and event.state.is_terminal):
                    break
        return tuple(lines)
