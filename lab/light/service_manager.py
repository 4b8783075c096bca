#!/usr/bin/python3 -IS
# SPDX-License-Identifier: Apache-2.0
"""The service manager of a light host: its first process, and `systemctl` under all names that Debian has for it.

As init it starts the enabled services that run to an end (Type=oneshot in multi-user.target), then only the SSH server
is left and is the first process: OpenSSH's server reaps what it inherits, and nothing takes less memory. Services that
stay are not started. The lab places this file in hosts as it stands here.
"""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

UNITS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
WANTED = Path("/etc/systemd/system/multi-user.target.wants")
FOLDER = Path("/run/service-manager")
RESULTS, STOPPING = FOLDER / "results.json", FOLDER / "stopping"
# A server's management controller shows how its operating system boots.
BOOT_SENSOR = Path("/var/lib/hardware/os_boot")
SSH_SERVER = "/usr/sbin/sshd"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What reboot(2) understands.
RESTART, POWER_OFF = 0x01234567, 0x4321FEDC
ACTIONS = {"reboot": RESTART, "poweroff": POWER_OFF, "halt": POWER_OFF}
SHUTDOWN_OPTIONS = {"-r": RESTART, "-h": POWER_OFF, "-P": POWER_OFF, "-H": POWER_OFF}
# Whoever asks for the end hears that it begins; who ignores SIGTERM has some time left.
_BEFORE_SECONDS, _GRACE_SECONDS = 0.3, 5.0
_POLL_SECONDS = 0.05

USAGE = "systemctl here: reboot, poweroff, halt, is-system-running [--wait], is-active UNIT, --failed, daemon-reload"


def oneshot_commands(text: str) -> list[list[str]]:
    """Return the commands of a service that runs to an end, none for any other unit."""
    words = [line.partition("=")[::2] for line in text.replace("\\\n", " ").splitlines()]
    pairs = [(name.strip(), value.strip()) for name, value in words]
    if ("Type", "oneshot") not in pairs:
        return []
    return [shlex.split(value) for name, value in pairs if name == "ExecStart" and value]


def shutdown_action(words: list[str]) -> int | None:
    """Return what `shutdown [OPTION] [TIME [MESSAGE]]` asks reboot(2) for; None for what is not understood."""
    options = [word for word in words if word.startswith("-")] or ["-P"]
    times = [word for word in words if not word.startswith("-")][:1]
    return SHUTDOWN_OPTIONS.get(options[0]) if times in (["now"], ["0"], ["+0"]) and len(options) == 1 else None


def verdict(results: dict[str, int] | None, *, stopping: bool) -> str:
    """Return the system's state as systemd names it, from the exit codes of its services."""
    if stopping:
        return "stopping"
    if results is None:
        return "starting"
    return "degraded" if any(results.values()) else "running"


def init() -> None:
    """Boot: start services beside the SSH server, and become that. Never returns."""
    socket.sethostname(Path("/etc/hostname").read_text().strip())
    for folder in (FOLDER, Path("/run/sshd"), Path("/run/lock")):
        folder.mkdir(mode=0o755)
    # Who is logged in: the SSH server keeps the list, and makes none.
    Path("/run/utmp").touch()
    os.environ["PATH"] = PATH
    # The SSH server says there when it listens, as sd_notify(3) has it.
    address = str(FOLDER / "notify")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    if os.fork() == 0:
        start_services(listener)
        os._exit(0)
    os.environ["NOTIFY_SOCKET"] = address
    # Python ignores it, and so would all that the SSH server starts.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(SSH_SERVER, [SSH_SERVER, "-D", "-e"])  # noqa: S606 - that is its job


def start_services(listener: socket.socket) -> None:
    """Run the enabled services in the order of their names, and say when they and the SSH server have started."""
    results = {}
    for unit in sorted(path.name for path in WANTED.glob("*.service")):
        for command in oneshot_commands(unit_text(unit)):
            results[unit] = run(command)
            print(f"{unit}: {' '.join(command)} ended with {results[unit]}", flush=True)
            if results[unit]:
                break
    while b"READY=1" not in listener.recv(4096):
        pass
    write(RESULTS, json.dumps(results))
    write(BOOT_SENSOR, verdict(results, stopping=False))


def unit_text(unit: str) -> str:
    """Return a unit's file; empty where it is masked or missing."""
    return next(((folder / unit).read_text() for folder in UNITS if (folder / unit).exists()), "")


def run(command: list[str]) -> int:
    """Run a command to its end and return its exit code; 127 when it cannot be started."""
    try:
        pid = os.posix_spawnp(command[0], command, os.environ)
    except OSError as error:
        print(error, flush=True)
        return 127
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def write(path: Path, text: str) -> None:
    """Replace a file at once."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def recorded_results() -> dict[str, int] | None:
    """Return the exit codes of the services that this boot started, None while it starts them."""
    try:
        return {str(unit): int(code) for unit, code in json.loads(RESULTS.read_text()).items()}
    except FileNotFoundError:
        return None


def end(action: int) -> int:
    """Let the host end a moment after this returns: all processes are asked to, reboot(2) takes what is left then."""
    try:
        STOPPING.mkdir()
    except FileExistsError:
        print("the host is stopping already", file=sys.stderr)
        return 1
    # Before the fork: when this returns, a terminal may close and hang up on what is still in its session.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if os.fork():
        return 0
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    time.sleep(_BEFORE_SECONDS)
    # Shells at a terminal take no SIGTERM.
    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ProcessLookupError):  # nobody is left
            os.kill(-1, number)
    until = time.monotonic() + _GRACE_SECONDS
    while other_processes() and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    ctypes.CDLL(None).reboot(action)
    os._exit(1)


def other_processes() -> set[str]:
    """Return the processes of this host except the first and this one."""
    return {path.name for path in Path("/proc").glob("[0-9]*")} - {"1", str(os.getpid())}


def systemctl(words: list[str]) -> int:
    """Do what `systemctl` was asked for, as far as it is known here; return the exit code."""
    if words and words[0] in ACTIONS:
        return end(ACTIONS[words[0]])
    if words[:1] == ["is-system-running"]:
        while "--wait" in words and recorded_results() is None:
            time.sleep(_POLL_SECONDS)
        state = verdict(recorded_results(), stopping=STOPPING.exists())
        print(state)
        return int(state != "running")
    codes = recorded_results() or {}
    if words[:1] == ["is-active"]:
        states = ["inactive" if unit not in codes else "failed" if codes[unit] else "active" for unit in words[1:]]
        print("\n".join(states))
        return 0 if "active" in states else 3
    if "--failed" in words:
        print("\n".join(unit for unit, code in codes.items() if code))
        return 0
    if words == ["daemon-reload"]:
        return 0
    print(USAGE, file=sys.stderr)
    return 1


def main(name: str, words: list[str]) -> int:
    """Be the program of this name; return the exit code."""
    if name == "init" and os.getpid() == 1:
        init()
    if name in ACTIONS:
        return end(ACTIONS[name])
    if name != "shutdown":
        return systemctl(words)
    action = shutdown_action(words)
    if action is None:
        print("shutdown here: one of -r, -h, -P, -H, and the time now or 0", file=sys.stderr)
        return 1
    return end(action)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:]))
