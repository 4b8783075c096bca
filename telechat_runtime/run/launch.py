# SPDX-License-Identifier: Apache-2.0
"""Runs a plan: start all nodes, watch them, stop all when the first one fails, tell how each ended.

Ctrl-C is a value (`Interrupt`) that every stage looks at. Whatever was started is stopped before `launch` returns:

    start   waits for the nodes' answers first: a start on its way can't be called back
    watch   stops all nodes
    stop    goes on; a second Ctrl-C takes away the grace
"""

from __future__ import annotations

import secrets
import time
from typing import List, Mapping, Optional, Sequence

from telechat_runtime.errors import InterruptedByUserError, UnreachableError
from telechat_runtime.fanout import FleetError, call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import NodeState, Notice, Observer
from telechat_runtime.job.report import Report
from telechat_runtime.job.state import JobState
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.remote.answers.jobs import PartState
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.watch import failure_to_reach
from telechat_runtime.run.monitor import JobView
from telechat_runtime.run.status import stop_job

_TOKEN_BYTES = 16


def launch(
    plan: JobPlan,
    clients: Mapping[str, NodeClient],
    *,
    observer: Observer,
    interrupt: Interrupt,
    all_ranks: bool = False,
    heartbeat_timeout: Optional[float] = None,
) -> Report:
    """Run the job and return how it ended; nothing of it runs any more then, but for what the report names.

    Raises FleetError when a node refuses to start: the others have been stopped by then. Raises UnreachableError when
    a job that needs no control side is out of sight for long: nobody knows whether it still runs.
    """
    silence = plan.options.heartbeat_timeout if heartbeat_timeout is None else heartbeat_timeout
    run = _Run(plan, clients, observer, interrupt, silence)
    began = time.monotonic()
    if run.start():
        run.watch(all_ranks=all_ranks)
    return run.report(time.monotonic() - began)


def start_detached(
    plan: JobPlan, clients: Mapping[str, NodeClient], *, observer: Observer, interrupt: Interrupt
) -> None:
    """Start the job on all nodes and leave it to their supervisors.

    Raises FleetError when a node refuses to start and InterruptedByUserError after Ctrl-C: nothing runs any more then.
    """
    if not _Run(plan, clients, observer, interrupt, plan.options.heartbeat_timeout).start():
        raise InterruptedByUserError("interrupted while starting the job; it was stopped again")


class _Run:
    def __init__(
        self,
        plan: JobPlan,
        clients: Mapping[str, NodeClient],
        observer: Observer,
        interrupt: Interrupt,
        silence: float,
    ) -> None:
        self._view = JobView(plan, clients, observer)
        self._plan = plan
        self._clients = clients
        self._tell = observer
        self._interrupt = interrupt
        self._silence = silence
        self._token = secrets.token_hex(_TOKEN_BYTES)

    def start(self) -> bool:
        """Start all nodes; False when the user interrupted, and everything is stopped again.

        One goes first, the same for whoever wants these nodes: of two users at the same moment one gets all of them,
        where each might get some, and both be refused the rest.
        """
        names = list(self._view.nodes)
        gate = min(names)
        started: List[str] = []
        try:
            for group in ([gate], [name for name in names if name != gate]):
                call_on_all(group, self._start, doing="starting the job", interrupt=self._interrupt, finish=True)
                started += group
        except FleetError as error:
            # A node that could not be reached may have started all the same; one that refused has not.
            doubtful = [name for name in names if isinstance(error.errors.get(name), UnreachableError)]
            to_stop = [*started, *error.results, *doubtful]
            if to_stop:
                self._tell(Notice("not all nodes could start; stopping the others"))
                self._stop(to_stop)
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
        view = self._view
        watch = view.watch(all_ranks=all_ranks, silence=self._silence)
        view.follow(watch, self._interrupt, to_first_failure=True)
        if view.first_failure is not None:
            self._fail(view.first_failure)
        elif view.running():
            self._tell(Notice("interrupted: stopping all nodes"))
            self._stop(view.running())

    def report(self, seconds: float) -> Report:
        """Return how the job ended."""
        unfinished = any(outcome.state is not JobState.SUCCEEDED for outcome in self._view.outcomes.values())
        return self._view.report(seconds, interrupted=self._interrupt.requested and unfinished)

    def _start(self, name: str) -> None:
        node = self._view.nodes[name]
        request = self._plan.start_request(node)
        if request["peers"]:
            request["peers"]["token"] = self._token
        self._clients[name].start({**request, "record": self._plan.record(node)})
        self._tell(NodeState(name, JobState.RUNNING))

    def _fail(self, name: str) -> None:
        state = self._view.outcomes[name].state
        others = [other for other in self._view.running() if other != name]
        if others:
            self._tell(Notice(f"{name} is {state}: stopping {', '.join(others)}"))
        # One that is not known to have ended may still have processes: a lost one, or one that another node speaks of.
        also = [name] if state is JobState.LOST or not state.is_terminal else []
        self._stop([*others, *also])
        if not self._interrupt.requested:
            self._view.add_last_lines()

    def _stop(self, names: Sequence[str]) -> None:
        try:
            self._stop_within(names, self._plan.options.grace_seconds, self._interrupt)
        except InterruptedByUserError:
            self._tell(Notice("stopping without grace"))
            self._stop_within(names, 0, Interrupt())

    def _stop_within(self, names: Sequence[str], grace: float, interrupt: Interrupt) -> None:
        if interrupt.forced:
            raise InterruptedByUserError("interrupted while stopping the job")
        stopped = stop_job(
            self._plan.job_id, names, self._clients, grace_seconds=grace, by=self._plan.owner, interrupt=interrupt
        )
        for name, answer in stopped.answers.items():
            self._note_stop(name, answer)
            self._view.note_left(name, answer.left)
        for name, failure in stopped.errors.items():
            again = f"telechat-run stop {self._plan.job_id}"
            self._tell(Notice(f"{failure.message}\n  {name} may still run the job; when it is back: {again}"))
            lost = PartState(JobState.LOST, None, failure.message, None, "", failure_to_reach(failure))
            self._note_stop(name, lost)

    def _note_stop(self, name: str, end: PartState) -> None:
        if not self._view.outcomes[name].state.is_terminal:
            self._view.note_end(name, end)
