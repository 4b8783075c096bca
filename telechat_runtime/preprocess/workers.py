# SPDX-License-Identifier: Apache-2.0
"""Worker processes that answer in the order in which they are asked, each task by the worker whose turn it is."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import deque
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Callable, Deque, Generic, Iterable, Iterator, List, Optional, Tuple, Type, TypeVar

from telechat_runtime.errors import JobFailedError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_AHEAD = 3
_END_SECONDS = 5.0


class OrderedWorkers(Generic[Task, Answer]):
    """A context with `count` forked processes; `prepare` runs once in each and returns what answers its tasks.

    Forked, they share the memory of what was made before. At most three tasks a worker are under way, so that memory
    stays bounded. A worker ends when its pipe does: none outlives this process, however it ends.
    """

    def __init__(self, count: int, prepare: Callable[[], Callable[[Task], Answer]]) -> None:
        self._count = count
        self._prepare = prepare
        self._pipes: List[Connection] = []
        self._processes: List[BaseProcess] = []

    def __enter__(self) -> OrderedWorkers[Task, Answer]:
        context = multiprocessing.get_context("fork")
        for _ in range(self._count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, [*self._pipes, ours], self._prepare), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            if kind is not None:
                process.terminate()
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def map(self, tasks: Iterable[Task]) -> Iterator[Answer]:
        """Yield the answers in the order of the tasks.

        Raises:
            JobFailedError: A worker ended before its time.

        """
        asked: Deque[int] = deque()
        for number, task in enumerate(tasks):
            worker = number % self._count
            if len(asked) >= _AHEAD * self._count:
                yield self._answer(asked.popleft())
            self._ask(worker, task)
            asked.append(worker)
        while asked:
            yield self._answer(asked.popleft())

    def _ask(self, worker: int, task: Task) -> None:
        try:
            self._pipes[worker].send(task)
        except OSError as error:
            raise self._lost(worker) from error

    def _answer(self, worker: int) -> Answer:
        try:
            answer, problem = self._pipes[worker].recv()
        except (EOFError, OSError) as error:
            raise self._lost(worker) from error
        if problem:
            raise RuntimeError(f"an encoding worker failed:\n{problem}")
        result: Answer = answer
        return result

    def _lost(self, worker: int) -> JobFailedError:
        process = self._processes[worker]
        process.join(_END_SECONDS)
        return JobFailedError(
            f"an encoding worker (pid {process.pid}) ended before its time, with {process.exitcode}",
            next_step="-9 means that it was killed, mostly for want of memory: try fewer --workers",
        )


def _work(pipe: Connection, others: List[Connection], prepare: Callable[[], Callable[[Task], Answer]]) -> None:
    # Ctrl-C reaches the whole process group; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:
        other.close()
    answer = prepare()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        reply: Tuple[Optional[Answer], str]
        try:
            reply = (answer(task), "")
        except Exception:  # noqa: BLE001 - whatever it was, the parent raises it
            reply = (None, traceback.format_exc())
        try:
            pipe.send(reply)
        except OSError:
            return
