# SPDX-License-Identifier: Apache-2.0
"""The run of a plan's steps on its own host: a process that outlives the connection and the control side.

An installer that is interrupted leaves half a driver behind, so nobody waits for one over the network: a detached
process takes the steps up to the next reboot and notes in `run.json` where it stands. Whoever comes asks there. The
folder is below /run, as no run outlives its boot; a lock that the process holds for its life keeps a second one away.
How a run ended is in the host's record, too, for those whom somebody else's reboot keeps from asking in time.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
import traceback
import uuid
from typing import Any, Callable, Dict, List, Optional

from ansible.module_utils.ascend.processes import Identity, identify, is_alive, with_command
from ansible.module_utils.hdk.installer import progress
from ansible.module_utils.hdk.record import HdkRecord, read_json, write_json

FOLDER = "run/ascend-hdk"
_TAIL_BYTES = 65536
_STDIN, _STDOUT, _STDERR = 0, 1, 2

Work = Callable[[], Optional[str]]
"""What a run does; returns why it failed, None when it did well."""


class HdkRun:
    """The run that goes on, or was the last one of this boot, below a root folder (`/` on a host).

    Its state: {id, boot_id, pid, start_time, started, before, done: [{step, seconds}], current, ended, failure}, where
    current is {step, started, argv, log, pid, start_time} or None.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self.folder = os.path.join(root, FOLDER)
        self._path = os.path.join(self.folder, "run.json")
        self._lock: Optional[int] = None

    def state(self) -> Dict[str, Any]:
        """Return the state of this boot's last run; empty when there was none."""
        state = read_json(self._path)
        return state if state.get("boot_id") == HdkRecord(self.root).boot_id() else {}

    def outcome(self, identity: str) -> Dict[str, Any]:
        """Return the state of this run when it was this boot's last, or the last that came to an end; else empty."""
        states = (self.state(), HdkRecord(self.root).last_run())
        return next((state for state in states if state.get("id") == identity), {})

    def going_on(self) -> Optional[Dict[str, Any]]:
        """Return the state of a run that goes on, also of one whose installer outlived it; None when none does.

        The state of a run that gave up waiting for its installer has `ended`, and yet goes on.
        """
        state = self.state()
        if not state:
            return None
        alive = (not state["ended"] and _runs(state)) or self._installer_runs(state)
        return state if alive else None

    def claim(self) -> bool:
        """Take the right to start a run; False when somebody has it."""
        os.makedirs(self.folder, mode=0o755, exist_ok=True)
        lock = os.open(os.path.join(self.folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def release(self) -> None:
        """Give up the claim; one that a started run has inherited stays with it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def start(self, before: Dict[str, Any], work: Work, output: str) -> str:
        """Let a detached process do the work, its own output appended to a file; return the run's id. Needs the claim.

        The process is forked, so that it has the whole program in memory: Ansible removes the files of a module when
        that ends.
        """
        identity = uuid.uuid4().hex[:12]
        noted, note = os.pipe()
        child = os.fork()
        if child == 0:
            self._in_child(identity, before, work, output, note)
        os.close(note)
        os.waitpid(child, 0)
        os.read(noted, 1)
        os.close(noted)
        self.release()
        return identity

    def begin(self, step: str) -> None:
        """Note that a step begins."""
        self._note(
            current={"step": step, "started": time.time(), "argv": [], "log": "", "pid": None, "start_time": None}
        )

    def command(self, argv: List[str], log: str, pid: Optional[int] = None) -> None:
        """Note the command of the step that has begun: before it is started, and again with its pid."""
        start_time = _start_time(pid) if pid is not None else None
        current = dict(self.state()["current"], argv=argv, log=log, pid=pid, start_time=start_time)
        self._note(current=current)

    def finish(self) -> None:
        """Note that the step that has begun did well."""
        state = self.state()
        current = state["current"]
        done = {"step": current["step"], "seconds": round(time.time() - current["started"], 1)}
        self._note(done=[*state["done"], done], current=None)

    def _note(self, **changes: Any) -> None:
        write_json(self._path, dict(read_json(self._path), **changes))

    def _in_child(self, identity: str, before: Dict[str, Any], work: Work, output: str, note: int) -> None:
        """Become a process without terminal, session and parent, and do the work there. Never returns."""
        try:
            os.setsid()
            if os.fork() == 0:
                _detach(output, keep=[note, self._lock])
                self._do(identity, before, work, note)
        finally:
            os._exit(0)

    def open(self, identity: str, before: Dict[str, Any]) -> None:
        """Note that this process is the run from now on; `before` are the versions before it."""
        own = os.getpid()
        state = {
            "id": identity,
            "boot_id": HdkRecord(self.root).boot_id(),
            "pid": own,
            "start_time": _start_time(own),
            "started": time.time(),
            "before": before,
            "done": [],
            "current": None,
            "ended": None,
            "failure": None,
        }
        os.makedirs(self.folder, mode=0o755, exist_ok=True)
        write_json(self._path, state)

    def _do(self, identity: str, before: Dict[str, Any], work: Work, note: int) -> None:
        self.open(identity, before)
        os.write(note, b".")
        os.close(note)
        failure: Optional[str] = "it ended without a reason"
        try:
            failure = work()
        except Exception as error:  # noqa: BLE001 - nobody else is there to tell of it
            failure = f"{type(error).__name__}: {error}; it is no failure of the installer"
            os.write(_STDERR, traceback.format_exc().encode("utf-8", "replace"))
        finally:
            ended = dict(read_json(self._path), ended=time.time(), failure=failure)
            try:
                # First, as somebody may reboot once the run is known to have ended.
                HdkRecord(self.root).ran(ended)
            finally:
                write_json(self._path, ended)

    def _installer_runs(self, state: Dict[str, Any]) -> bool:
        current = state["current"]
        if not current or not current["argv"]:
            return False
        if _runs(current):
            return True
        # Between its start and the note of its pid, only its command line tells.
        return current["pid"] is None and with_command(current["argv"]) is not None


def _runs(noted: Dict[str, Any]) -> bool:
    pid, start = noted["pid"], noted["start_time"]
    return pid is not None and start is not None and is_alive(Identity(pid, start))


def _start_time(pid: int) -> Optional[int]:
    found = identify(pid)
    return found.start if found else None


def progress_lines(state: Dict[str, Any]) -> List[str]:
    """Return one line a step that is done, and one with how far the current one is."""
    lines = [f"{_name(done['step'])}: done after {done['seconds']:.0f} s" for done in state["done"]]
    current = state["current"]
    if current:
        percent = progress(_tail(current["log"]))
        lines.append(_name(current["step"]) + (": begun" if percent is None else f": {percent} %"))
    return lines


def _name(step: str) -> str:
    """Return what a step does, without its reason."""
    return step.partition(": ")[0]


def _tail(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _detach(output: str, keep: List[Optional[int]]) -> None:
    """Let go of the connection: its signals, its terminal, its pipes."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    os.makedirs(os.path.dirname(output), mode=0o755, exist_ok=True)
    null = os.open(os.devnull, os.O_RDONLY)
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(null, _STDIN)
    os.dup2(sink, _STDOUT)
    os.dup2(sink, _STDERR)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > _STDERR and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                continue  # the folder's own descriptor, closed by now
