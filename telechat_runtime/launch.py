# SPDX-License-Identifier: Apache-2.0
"""Runs a plan: start all nodes at once, watch them, stop all when the first one fails, tell how each ended.

Ctrl-C is a value (`Interrupt`) that every stage looks at. Whatever was started is stopped before `launch` returns:

    start   waits for the nodes' answers first: a start on its way can't be called back
    watch   stops all nodes
    stop    goes on; a second Ctrl-C takes away the grace
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.errors import InterruptedByUserError, TelechatError, UnreachableError
from telechat_runtime.events import LogLine, NodeOutcome, NodeState, Notice, Observer, Training
from telechat_runtime.executor import FleetError, call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job import JobState
from telechat_runtime.logs import Speed, Step, parse_line
from telechat_runtime.node_client import NodeClient
from telechat_runtime.plan import JobPlan, NodePlan
from telechat_runtime.report import Report
from telechat_runtime.resumed_watch import ResumedWatch, watch_job
from telechat_runtime.watcher import HEARTBEAT_SECONDS, FleetWatch, NodeEvent, NodeLost

_LAST_LINES = 20
_LAST_LINES_SECONDS = 10.0


def launch(
    plan: JobPlan,
    clients: Mapping[str, NodeClient],
    *,
    observer: Observer,
    interrupt: Interrupt,
    all_ranks: bool = False,
    heartbeat_timeout: float = HEARTBEAT_SECONDS,
) -> Report:
    """Run the job and return how it ended; nothing of it runs any more then, but for what the report names.

    Raises FleetError when a node refuses to start: the others have been stopped by then.
    """
    run = _Run(plan, clients, observer, interrupt, heartbeat_timeout)
    began = time.monotonic()
    if run.start():
        run.watch(all_ranks=all_ranks)
    return run.report(time.monotonic() - began)


class _Run:
    def __init__(
        self,
        plan: JobPlan,
        clients: Mapping[str, NodeClient],
        observer: Observer,
        interrupt: Interrupt,
        heartbeat_timeout: float,
    ) -> None:
        self._plan = plan
        self._nodes: Dict[str, NodePlan] = {node.node.name: node for node in plan.nodes}
        self._clients = clients
        self._tell = observer
        self._interrupt = interrupt
        self._heartbeat_timeout = heartbeat_timeout
        self._outcomes = {
            name: NodeOutcome(node=name, node_rank=node.node.rank, state=JobState.STARTING)
            for name, node in self._nodes.items()
        }
        self._first_failure: Optional[str] = None
        self._first_step: Optional[Step] = None
        self._last_step: Optional[Step] = None
        self._speed: Optional[Speed] = None

    def start(self) -> bool:
        """Start all nodes; False when the user interrupted, and everything is stopped again."""
        names = list(self._nodes)
        try:
            call_on_all(names, self._start, doing="starting the job", interrupt=self._interrupt, finish=True)
        except FleetError as error:
            # A node that could not be reached may have started all the same; one that refused has not.
            doubtful = [name for name in names if isinstance(error.errors.get(name), UnreachableError)]
            self._tell(Notice("not all nodes could start; stopping the others"))
            self._stop([*error.results, *doubtful])
            raise
        except InterruptedByUserError:
            pass  # the second Ctrl-C: whether all nodes have started is unknown, so all are stopped
        if self._interrupt.requested:
            self._tell(Notice("interrupted: stopping all nodes"))
            self._stop(names)
            return False
        return True

    def watch(self, *, all_ranks: bool) -> None:
        """Follow the job to its end, or to the first failure, or to Ctrl-C; then stop what still runs."""
        watch = FleetWatch(
            {name: self._watch_function(node, all_ranks=all_ranks) for name, node in self._nodes.items()},
            heartbeat_timeout=self._heartbeat_timeout,
        )
        try:
            while self._running() and self._first_failure is None and not self._interrupt.requested:
                item = watch.poll()
                if item is not None:
                    self._take(*item)
                    if self._outcomes[item[0]].state.is_terminal:
                        watch.ended(item[0])
        finally:
            watch.close()
        if self._first_failure is not None:
            self._fail(self._first_failure)
        elif self._running():
            self._tell(Notice("interrupted: stopping all nodes"))
            self._stop(self._running())

    def report(self, seconds: float) -> Report:
        """Return how the job ended."""
        return Report(
            job_id=self._plan.job_id,
            folder=self._plan.nodes[0].paths.folder,
            seconds=seconds,
            interrupted=self._interrupt.requested and bool(self._unfinished()),
            nodes=tuple(self._outcomes.values()),
            first_failure=self._first_failure,
            first_step=self._first_step,
            last_step=self._last_step,
            speed=self._speed,
        )

    def _start(self, name: str) -> None:
        node = self._nodes[name]
        self._clients[name].start({**self._plan.start_request(node), "record": self._plan.record(node)})
        self._tell(NodeState(name, JobState.RUNNING))

    def _running(self) -> List[str]:
        return [name for name, outcome in self._outcomes.items() if not outcome.state.is_terminal]

    def _unfinished(self) -> List[str]:
        return [name for name, outcome in self._outcomes.items() if outcome.state is not JobState.SUCCEEDED]

    def _watch_function(self, node: NodePlan, *, all_ranks: bool) -> Callable[[], ResumedWatch]:
        wanted = {0, self._plan.metric_rank, self._plan.world_size - 1}
        own = range(node.first_rank, node.first_rank + self._plan.workers_per_node)
        ranks = None if all_ranks else sorted(wanted.intersection(own))
        client, job_id, job_root = self._clients[node.node.name], self._plan.job_id, node.paths.job_root
        return lambda: watch_job(client, job_id, job_root, ranks=ranks, patience=self._heartbeat_timeout)

    def _take(self, name: str, event: NodeEvent) -> None:
        if self._outcomes[name].state.is_terminal:
            return
        if isinstance(event, NodeLost):
            self._note(name, JobState.LOST, {"reason": event.reason})
        elif event["event"] == "log":
            self._take_line(name, event)
        elif event["event"] == "state":
            state = JobState(event["state"])
            if state.is_terminal:
                self._note(name, state, event)

    def _take_line(self, name: str, event: Mapping[str, Any]) -> None:
        line, rank = event["line"], event.get("rank")
        self._tell(LogLine(node=name, rank=rank, log=event["log"], text=line))
        if rank != self._plan.metric_rank:
            return
        found = parse_line(line)
        if isinstance(found, Step):
            self._first_step = self._first_step or found
            self._last_step = found
        elif isinstance(found, Speed):
            self._speed = found
        if found is not None:
            self._tell(Training(found))

    def _note(self, name: str, state: JobState, event: Mapping[str, Any]) -> None:
        self._outcomes[name] = dataclasses.replace(
            self._outcomes[name],
            state=state,
            exit_code=event.get("exit_code"),
            reason=event.get("reason") or "",
            failed_rank=event.get("failed_rank"),
        )
        self._tell(NodeState(name, state, self._outcomes[name].reason))
        if state is not JobState.SUCCEEDED and self._first_failure is None:
            self._first_failure = name

    def _fail(self, name: str) -> None:
        failed = self._outcomes[name]
        others = self._running()
        if others:
            self._tell(Notice(f"{name} is {failed.state}: stopping {', '.join(others)}"))
        # A lost node may still be reachable for a stop, and its processes may still be there.
        self._stop([*others, *([name] if failed.state is JobState.LOST else [])])
        if failed.failed_rank is not None and not self._interrupt.requested:
            lines = self._read_last_lines(self._nodes[name], failed.failed_rank)
            self._outcomes[name] = dataclasses.replace(self._outcomes[name], last_lines=lines)

    def _stop(self, names: Sequence[str]) -> None:
        try:
            self._stop_within(names, self._plan.grace_seconds, self._interrupt)
        except InterruptedByUserError:
            self._tell(Notice("stopping without grace"))
            self._stop_within(names, 0, Interrupt())

    def _stop_within(self, names: Sequence[str], grace: float, interrupt: Interrupt) -> None:
        def stop(name: str) -> Dict[str, Any]:
            return self._clients[name].stop(self._plan.job_id, self._nodes[name].paths.job_root, grace)

        if interrupt.forced:
            raise InterruptedByUserError("interrupted while stopping the job")
        errors: Mapping[str, TelechatError] = {}
        try:
            answers = call_on_all(names, stop, doing="stopping the job", interrupt=interrupt, finish=True)
        except FleetError as error:
            answers, errors = error.results, error.errors
        for name, answer in answers.items():
            self._note_stop(name, JobState(answer["state"]), tuple(answer.get("left", ())), "")
        for name, failure in errors.items():
            again = f"telechat-run stop {self._plan.job_id}"
            self._tell(Notice(f"{failure.message}\n  {name} may still run the job; when it is back: {again}"))
            self._note_stop(name, JobState.LOST, (), failure.message)

    def _note_stop(self, name: str, state: JobState, left: Tuple[int, ...], reason: str) -> None:
        known = self._outcomes[name]
        if known.state.is_terminal:
            self._outcomes[name] = dataclasses.replace(known, left=left)
            return
        self._outcomes[name] = dataclasses.replace(known, state=state, left=left, reason=reason)
        self._tell(NodeState(name, state, reason))

    def _read_last_lines(self, node: NodePlan, rank: int) -> Tuple[str, ...]:
        """Return the last lines of the failed worker's log."""
        name = node.node.name
        client = self._clients[name]
        watch = FleetWatch(
            {name: lambda: client.watch(self._plan.job_id, node.paths.job_root, ranks=[rank])},
            heartbeat_timeout=_LAST_LINES_SECONDS,
        )
        lines: Deque[str] = deque(maxlen=_LAST_LINES)
        deadline = time.monotonic() + _LAST_LINES_SECONDS
        try:
            while time.monotonic() < deadline and not self._interrupt.requested:
                item = watch.poll()
                if item is None:
                    continue
                event = item[1]
                if isinstance(event, NodeLost) or (event["event"] == "state" and JobState(event["state"]).is_terminal):
                    break
                if event["event"] == "log":
                    lines.append(event["line"])
        finally:
            watch.close()
        return tuple(lines)
