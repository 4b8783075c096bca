# SPDX-License-Identifier: Apache-2.0
"""How each step of a plan is done on the host: installers and uninstall scripts, with their logs."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible.module_utils.file_digest import file_sha256
from ansible.module_utils.hdk import usage as hdk_usage
from ansible.module_utils.hdk.install_info import write_back
from ansible.module_utils.hdk.installer import (
    Outcome,
    installer_argv,
    judge,
    judge_failure,
    judge_uninstall,
    progress,
    refuses_holders,
    refuses_options,
)
from ansible.module_utils.hdk.look import HdkLook
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.run import HdkRun
from ansible.module_utils.hdk.state import DRIVER, FIRMWARE, REBOOT_GUIDE, UNINSTALL, Step
from ansible.module_utils.host_command import system_environment

LOG_FOLDER = "/var/log/ascend-hdk"
_GRACE_SECONDS = 30
# Seconds before an installer is started again that was refused because something used the driver at that moment.
_OCCUPIED_PAUSES = (7, 20)
# How often somebody else's installers are looked for while ours runs.
_GLANCE_SECONDS = 2
_ROOM = ".unpack-"


class StepError(Exception):
    """A step can't be done or failed; the text says the step, the cause and what to do next."""


class Package(NamedTuple):
    """A package on this host and the checksum it must have."""

    path: str
    sha256: str


class Settings(NamedTuple):
    """How installers are run: packages by component, the run user, the reboot policy, the time limit in seconds."""

    packages: Dict[str, Package]
    user: str
    group: str
    reboot: str
    timeout: int


def settings_of(wish: Dict[str, Any], staging_dir: str, timeout: int) -> Settings:
    """Return the settings that the role's wish asks for on this machine."""
    packages = wish["packages"].get(platform.machine(), {})
    return Settings(
        packages={
            component: Package(os.path.join(staging_dir, entry["file"]), entry["sha256"])
            for component, entry in packages.items()
        },
        user=wish["user"],
        group=wish["group"],
        reboot=wish["reboot"],
        timeout=timeout,
    )


class Host(NamedTuple):
    """Where steps are done: settings, the host's record, and the run that they belong to."""

    settings: Settings
    record: HdkRecord
    run: HdkRun


def install(step: Step, seen: HdkLook, host: Host) -> None:
    """Run one installer, after its package's checksum and the package's own check. Raises StepError."""
    component, settings = str(step.component), host.settings
    if component == DRIVER and seen.facts.headers != "present":
        raise StepError(
            f"{step}: no /lib/modules/{seen.facts.kernel}/build; add the kernel's headers to ascend_hdk_os_packages"
        )
    log = new_log(step)
    package = _checked(step, log, host)
    part = seen.facts.driver if component == DRIVER else seen.facts.firmware
    if part.script and not part.named:
        # Only what the install info names is removed before it is replaced, its immutable files too.
        write_back(component, part.home, settings.user, settings.group, host.run.root)
    host.record.begin(component, step.action, step.version)
    argv = installer_argv(package.path, component, step.action, settings.user, settings.group)
    for pause in (*_OCCUPIED_PAUSES, None):
        with _room_to_unpack(step, package) as room:
            ran = run_logged(argv, log, host, room=room, cut_off=component != FIRMWARE)
        if ran.rc == 0 or pause is None or not refuses_holders(ran.output):
            break
        # What asks the chips now and then, as monitoring does, may be what it met.
        time.sleep(pause)
    outcome = judge(ran.rc, ran.output)
    _stop_at_failure(step, outcome, log, ran.others)
    # The guide reboots after every installer; else the driver's installer says whether it must be.
    owed = settings.reboot == REBOOT_GUIDE or component != DRIVER or outcome.reboot_required
    host.record.finish(component, reboot_owed=owed)


def uninstall(step: Step, host: Host) -> None:
    """Run the uninstall script of what is installed; one that finds nothing has nothing to do. Raises StepError."""
    component = str(step.component)
    script = os.path.join(step.targets[0], component, "script", "uninstall.sh")
    if not os.path.isfile(script):
        raise StepError(f"{step}: there is no {script}; install the {component} anew, then run again")
    write_back(component, step.targets[0], host.settings.user, host.settings.group, host.run.root)
    host.record.begin(component, UNINSTALL, step.version)
    log = new_log(step)
    ran = run_logged([script, "--quiet"], log, host)
    if refuses_options(ran.output):
        ran = run_logged([script], log, host)
    outcome = judge_uninstall(ran.rc, ran.output)
    _stop_at_failure(step, outcome, log, ran.others)
    # Left empty, and maybe closed to everybody but root, it would be in the way of other packages.
    with contextlib.suppress(OSError):
        os.rmdir(step.targets[0])
    owed = component == DRIVER and host.settings.reboot == REBOOT_GUIDE
    host.record.finish(component, reboot_owed=owed or outcome.reboot_required)


def _stop_at_failure(step: Step, outcome: Outcome, log: str, others: Sequence[str] = ()) -> None:
    if not outcome.succeeded:
        # The vendor's installers don't lock each other out, and two of them destroy each other's files.
        between = f"; somebody else ran {', '.join(others)} meanwhile: let only one installer run" if others else ""
        raise StepError(f"{step}: {outcome.cause}{between}; {outcome.next_step} (its output: {log})")


@contextlib.contextmanager
def _room_to_unpack(step: Step, package: Package) -> Iterator[str]:
    """Give a package a folder beside it to unpack in and to execute its installer: /tmp is often noexec.

    Raises StepError.
    """
    folder = os.path.dirname(package.path)
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise StepError(
            f"{step}: {folder} is on a file system mounted noexec; set ascend_hdk_staging_dir to a folder where"
            " programs may be executed, then run again"
        )
    for leftover in glob.glob(os.path.join(glob.escape(folder), _ROOM + "*")):
        shutil.rmtree(leftover, ignore_errors=True)
    room = tempfile.mkdtemp(prefix=_ROOM, dir=folder)
    # One that is still flashing needs its files: the next step removes what this one leaves.
    yield room
    shutil.rmtree(room, ignore_errors=True)


def _checked(step: Step, log: str, host: Host) -> Package:
    package = host.settings.packages.get(str(step.component))
    if package is None or not os.path.isfile(package.path):
        raise StepError(f"{step}: its package is not on this host yet; run the playbook again")
    actual = file_sha256(package.path)
    if actual != package.sha256:
        raise StepError(f"{step}: {package.path} has sha256 {actual}, not {package.sha256}; remove it and run again")
    with _room_to_unpack(step, package) as room:
        checked = run_logged([package.path, "--check"], log, host, room=room)
    if checked.rc != 0:
        outcome = judge_failure(checked.rc, checked.output)
        raise StepError(
            f"{step}: {package.path} --check failed: {outcome.cause}; {outcome.next_step} (its output: {log})"
        )
    return package


def new_log(step: Step) -> str:
    """Return the path of a step's log, named by time; `<component>.log` leads to the latest."""
    os.makedirs(LOG_FOLDER, mode=0o755, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    words = [step.component or step.action, step.action if step.component else None, step.version, stamp]
    name = "-".join(word for word in words if word) + ".log"
    stable = os.path.join(LOG_FOLDER, f"{step.component or step.action}.log")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(stable)
    os.symlink(name, stable)
    return os.path.join(LOG_FOLDER, name)


class Ran(NamedTuple):
    """How a command ended, what it printed, and the installers that somebody else ran meanwhile."""

    rc: int
    output: str
    others: Tuple[str, ...] = ()


def run_logged(argv: List[str], log: str, host: Host, *, room: Optional[str] = None, cut_off: bool = True) -> Ran:
    """Run argv in a session of its own, its output appended to a file.

    The session keeps an installer alive when the run's own process is killed; the file shows its progress. `room` is
    the folder for its temporary files. Raises StepError when it does not start, or takes longer than the settings
    allow: then it is killed, but for one that must not be `cut_off`, which goes on by itself.
    """
    timeout = host.settings.timeout
    host.run.command(argv, log)
    with open(log, "ab") as sink:
        before = sink.tell()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=dict(system_environment(), **({"TMPDIR": room} if room else {})),
                cwd=os.path.dirname(argv[0]) or "/",
                start_new_session=True,
            )
        except OSError as error:
            raise StepError(f"{' '.join(argv)} does not start: {error}") from None
        host.run.command(argv, log, process.pid)
        try:
            others = _wait(process, timeout, host)
        except subprocess.TimeoutExpired:
            reached = _reached(_text_of(log, before))
            if not cut_off:
                raise StepError(
                    f"{' '.join(argv)} is still flashing after {timeout} s{reached} (ascend_hdk_timeout); cut off, it"
                    " can break a chip, so it goes on by itself:"
                    f" run again, that waits for it (its output: {log})"
                ) from None
            _end(process)
            ended = f"was ended after {timeout} s{reached} (ascend_hdk_timeout)"
            raise StepError(f"{' '.join(argv)} {ended}; its output: {log}") from None
    return Ran(process.returncode, _text_of(log, before), others)


def _wait(process: Any, timeout: float, host: Host) -> Tuple[str, ...]:
    """Wait for a process, and return the installers that somebody else ran meanwhile. Raises TimeoutExpired."""
    others: Dict[str, None] = {}
    until = time.monotonic() + timeout
    while True:
        left = until - time.monotonic()
        try:
            process.wait(timeout=max(0.0, min(left, _GLANCE_SECONDS)))
        except subprocess.TimeoutExpired:
            others.update(dict.fromkeys(_others(host)))
            if left <= _GLANCE_SECONDS:
                raise
        else:
            others.update(dict.fromkeys(_others(host)))
            return tuple(others)


def _others(host: Host) -> List[str]:
    found = hdk_usage.installers(host.run.root)
    return [f"{installer.command} (pid {installer.pid})" for installer in found if not installer.ours]


def _text_of(log: str, start: int) -> str:
    with open(log, "rb") as stream:
        stream.seek(start)
        return stream.read().decode("utf-8", "replace")


def _reached(output: str) -> str:
    percent = progress(output)
    return "" if percent is None else f" at {percent} %"


def _end(process: Any) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
