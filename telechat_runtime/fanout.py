# SPDX-License-Identifier: Apache-2.0
"""One call on many nodes: bounded in threads, joins all, then hands over every result and every error."""

from __future__ import annotations

import queue
import threading
import time
from typing import Callable, Dict, Generic, List, Mapping, Sequence, Tuple, TypeVar, Union

from telechat_runtime import wire_log
from telechat_runtime.errors import TelechatError
from telechat_runtime.interrupt import Interrupt

T = TypeVar("T")
MAX_THREADS = 32
_POLL_SECONDS = 0.1


class FleetError(TelechatError, Generic[T]):
    """Some nodes failed: `results` holds the answers of the others, `errors` what each failed node said.

    The exit code is that of the first failed node, in the order of the call.
    """

    def __init__(self, results: Mapping[str, T], errors: Mapping[str, TelechatError]) -> None:
        first, *others = errors.values()
        steps = dict.fromkeys(error.next_step for error in errors.values() if error.next_step)
        messages = [error.message for error in (first, *others)]
        super().__init__("\n".join(messages), next_step="\n        ".join(steps))
        self.exit_code = first.exit_code
        self.results = dict(results)
        self.errors = dict(errors)


def call_on_all(
    names: Sequence[str],
    call: Callable[[str], T],
    *,
    doing: str,
    interrupt: Interrupt,
    finish: bool = False,
    max_threads: int = MAX_THREADS,
) -> Dict[str, T]:
    """Return every node's answer as `gather` does. Raises FleetError when a node gave none."""
    results, errors = gather(names, call, doing=doing, interrupt=interrupt, finish=finish, max_threads=max_threads)
    if errors:
        raise FleetError(results, errors)
    return results


def gather(
    names: Sequence[str],
    call: Callable[[str], T],
    *,
    doing: str,
    interrupt: Interrupt,
    finish: bool = False,
    max_threads: int = MAX_THREADS,
) -> Tuple[Dict[str, T], Dict[str, TelechatError]]:
    """Call `call(name)` for every name; return the answers and the TelechatErrors by name, in the order of `names`.

    Any other exception is a defect and is raised as it is.
    On Ctrl-C it raises InterruptedByUserError at once, leaving what runs behind, or, with `finish`, first waits for all
    calls: for those that change a node, where "unknown whether it was done" is worse than a moment's patience. A second
    Ctrl-C ends that patience too.
    """
    pending: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[Tuple[str, Union[T, BaseException]]] = queue.SimpleQueue()
    for name in names:
        pending.put(name)

    def work() -> None:
        while finish or not interrupt.requested:
            try:
                name = pending.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((name, call(name)))
            except BaseException as error:  # noqa: BLE001 - handed over to the caller's thread
                done.put((name, error))

    begin, threads = time.monotonic(), min(max_threads, len(names))
    wire_log.note("fanout", "%s: %d calls in %d threads", doing, len(names), threads)
    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    try:
        return _collect(names, done, doing, interrupt, finish=finish)
    finally:
        wire_log.note("fanout", "%s: ended after %.2f s", doing, time.monotonic() - begin)


def _collect(
    names: Sequence[str],
    done: queue.SimpleQueue[Tuple[str, Union[T, BaseException]]],
    doing: str,
    interrupt: Interrupt,
    *,
    finish: bool,
) -> Tuple[Dict[str, T], Dict[str, TelechatError]]:
    answers: Dict[str, Union[T, BaseException]] = {}
    while len(answers) < len(names):
        if interrupt.forced or not finish:
            interrupt.check(doing)
        try:
            name, answer = done.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        answers[name] = answer
    results: Dict[str, T] = {}
    errors: Dict[str, TelechatError] = {}
    defects: List[BaseException] = []
    for name in names:
        answer = answers[name]
        if isinstance(answer, TelechatError):
            errors[name] = answer
        elif isinstance(answer, BaseException):
            defects.append(answer)
        else:
            results[name] = answer
    if defects:
        raise defects[0]
    return results, errors
