# SPDX-License-Identifier: Apache-2.0
"""Configure dockerd and start it, so that it starts at the next boot too; what it does not take is put back."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

from ansible.module_utils import docker_daemon
from ansible.module_utils.ascend.atomic_file import READABLE, replace_file
from ansible.module_utils.command_result import Result, Run
from ansible.module_utils.docker_objects import last_line
from ansible.module_utils.host_problem import Problem

# A unit that is not of Type=notify is started before the engine answers.
_ANSWER_SECONDS = 60
_POLL_SECONDS = 0.5
_FOLDER_MODE = 0o755


class EngineError(Exception):
    """The engine can't be brought to what is wished; the text has what was found, the rule and the next step."""


class Engine(NamedTuple):
    """The engine of a host: its client, its unit, and where it reads its configuration unless a flag says otherwise."""

    cli: str
    service: str
    config_path: str


class Plan(NamedTuple):
    """What there is to do; `before` and `after` are the file's texts, None where there is no file."""

    daemon: docker_daemon.Daemon
    path: str
    before: Optional[str]
    after: Optional[str]
    needs_restart: bool
    answers: bool
    starts_at_boot: bool

    @property
    def written(self) -> bool:
        """Whether the file differs from what it is to hold."""
        return self.before != self.after

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.written or not self.answers or not self.starts_at_boot


def plan(run: Run, engine: Engine, wish: Dict[str, Any], root: str = "/") -> Plan:
    """Compare the engine with what is wished. Raises EngineError for what can't be merged."""
    daemon = docker_daemon.look(run, engine.service, root)
    path = daemon.config_path(engine.config_path)
    before = _text(path)
    config, unreadable = docker_daemon.read_config(path)
    settled = docker_daemon.settle(config, wish, daemon)
    for problem in [*([unreadable] if unreadable and wish else []), *settled.problems]:
        raise EngineError(_told(problem))
    after = json.dumps(settled.config, indent=4, sort_keys=True) + "\n" if wish and settled.reason else before
    return Plan(
        daemon=daemon,
        path=path,
        before=before,
        after=after,
        needs_restart=settled.needs_restart,
        answers=_answers(run, engine),
        starts_at_boot=not daemon.has_unit or run(["systemctl", "is-enabled", "--quiet", engine.service]).rc == 0,
    )


def carry_out(run: Run, engine: Engine, todo: Plan, sleep: Callable[[float], None] = time.sleep) -> None:
    """Write the configuration, start or reload the engine. Raises EngineError; the old configuration is back then."""
    if todo.written:
        _validate(run, todo)
        _write(todo.path, todo.after)
    failure = _bring_up(run, engine, todo, sleep)
    if failure and todo.written:
        _write(todo.path, todo.before)
        back = "it runs with it" if todo.answers and not _start(run, engine, sleep) else "it does not run"
        raise EngineError(
            f"{engine.service} does not start with the new {todo.path}: {failure}."
            f" The old one was put back, and {back}. Next: correct docker_engine_daemon_config."
        )
    if failure:
        raise EngineError(
            f"{engine.service} does not start: {failure}. Its client is there, so it is not installed again."
            f" Next: see journalctl -u {engine.service}."
        )
    if not todo.starts_at_boot:
        _must(run(["systemctl", "enable", engine.service]), f"{engine.service} can't be enabled")


def _bring_up(run: Run, engine: Engine, todo: Plan, sleep: Callable[[float], None]) -> Optional[str]:
    """Return why the engine does not run with its configuration; None when it does."""
    if not todo.answers:
        return _start(run, engine, sleep)
    if not todo.written:
        return None
    if todo.daemon.has_unit:
        done = run(["systemctl", "restart" if todo.needs_restart else "reload", engine.service])
        return _reason(run, engine, done) if done.rc != 0 else _awaited(run, engine, sleep)
    if todo.needs_restart or todo.daemon.pid is None:
        return f"systemd has no unit {engine.service} to restart it; restart it by hand with that configuration"
    os.kill(todo.daemon.pid, signal.SIGHUP)
    return None


def _start(run: Run, engine: Engine, sleep: Callable[[float], None]) -> Optional[str]:
    # systemd starts a unit that failed often no more, before that is forgotten.
    run(["systemctl", "reset-failed", engine.service])
    done = run(["systemctl", "start", engine.service])
    return _reason(run, engine, done) if done.rc != 0 else _awaited(run, engine, sleep)


def _awaited(run: Run, engine: Engine, sleep: Callable[[float], None]) -> Optional[str]:
    waited = 0.0
    while not _answers(run, engine):
        if waited >= _ANSWER_SECONDS:
            return _reason(run, engine, run([engine.cli, "version"]))
        sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
    return None


def _answers(run: Run, engine: Engine) -> bool:
    return run([engine.cli, "version", "--format", "{{.Server.Version}}"]).rc == 0


def _validate(run: Run, todo: Plan) -> None:
    """Let dockerd itself read the configuration, with its flags, before it has to; one older than 23 can't."""
    if not todo.daemon.argv:
        return
    os.makedirs(os.path.dirname(todo.path), _FOLDER_MODE, exist_ok=True)
    trial = todo.path + ".telechat-trial"
    replace_file(trial, str(todo.after))
    try:
        done = run([*todo.daemon.argv, "--validate", f"--config-file={trial}"])
    finally:
        os.unlink(trial)
    said = done.stderr + done.stdout
    if done.rc != 0 and "unknown flag: --validate" not in said:
        raise EngineError(
            f"dockerd does not take the new {todo.path}: {last_line(said).replace(trial, todo.path)}."
            " Nothing was changed. Next: correct docker_engine_daemon_config."
        )


def _reason(run: Run, engine: Engine, done: Result) -> str:
    """Return what dockerd said last; systemd's own lines only tell that it failed."""
    journal = run(["journalctl", "--no-pager", "--output=cat", "--lines=60", f"--unit={engine.service}"]).stdout
    lines = [line.strip() for line in journal.splitlines() if line.strip()]
    causes = [line for line in lines if re.search(r"unable to configure|failed to|level=(?:fatal|error)", line)]
    return causes[-1] if causes else last_line(done.stderr or done.stdout)


def _must(done: Result, what: str) -> None:
    if done.rc != 0:
        raise EngineError(f"{what}: {last_line(done.stderr or done.stdout)}")


def _write(path: str, text: Optional[str]) -> None:
    if text is None:
        os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), _FOLDER_MODE, exist_ok=True)
    mode = os.stat(path).st_mode & 0o7777 if os.path.exists(path) else READABLE
    replace_file(path, text, mode=mode)


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (OSError, ValueError):
        return None


def _told(problem: Problem) -> str:
    return f"{problem.check}: {problem.value}; {problem.rule}. Next: {problem.next_step}."
