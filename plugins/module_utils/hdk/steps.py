# SPDX-License-Identifier: Apache-2.0
"""How each step of a plan is done on the host: installers and uninstall scripts, with their logs."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import time
from typing import Any, Dict, List, NamedTuple, Tuple

from ansible.module_utils.file_digest import file_sha256
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
from ansible.module_utils.hdk.state import DRIVER, REBOOT_GUIDE, UNINSTALL, Step
from ansible.module_utils.host_command import system_environment

LOG_FOLDER = "/var/log/ascend-hdk"
_GRACE_SECONDS = 30
# Seconds before an installer is started again that was refused because something used the driver at that moment.
_OCCUPIED_PAUSES = (7, 20)


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
    host.record.begin(component, step.action, step.version)
    argv = installer_argv(package.path, component, step.action, settings.user, settings.group)
    rc, output = run_logged(argv, log, host)
    for pause in _OCCUPIED_PAUSES:
        if rc == 0 or not refuses_holders(output):
            break
        # What asks the chips now and then, as monitoring does, may be what it met.
        time.sleep(pause)
        rc, output = run_logged(argv, log, host)
    outcome = judge(rc, output)
    _stop_at_failure(step, outcome, log)
    # The guide reboots after every installer; else the driver's installer says whether it must be.
    owed = settings.reboot == REBOOT_GUIDE or component != DRIVER or outcome.reboot_required
    host.record.finish(component, reboot_owed=owed)


def uninstall(step: Step, host: Host) -> None:
    """Run the uninstall script of what is installed; one that finds nothing has nothing to do. Raises StepError."""
    component = str(step.component)
    script = os.path.join(step.targets[0], component, "script", "uninstall.sh")
    if not os.path.isfile(script):
        raise StepError(f"{step}: there is no {script}; install the {component} anew, then run again")
    host.record.begin(component, UNINSTALL, step.version)
    log = new_log(step)
    rc, output = run_logged([script, "--quiet"], log, host)
    if refuses_options(output):
        rc, output = run_logged([script], log, host)
    outcome = judge_uninstall(rc, output)
    _stop_at_failure(step, outcome, log)
    # Left empty, and maybe closed to everybody but root, it would be in the way of other packages.
    with contextlib.suppress(OSError):
        os.rmdir(step.targets[0])
    owed = component == DRIVER and host.settings.reboot == REBOOT_GUIDE
    host.record.finish(component, reboot_owed=owed or outcome.reboot_required)


def _stop_at_failure(step: Step, outcome: Outcome, log: str) -> None:
    if not outcome.succeeded:
        raise StepError(f"{step}: {outcome.cause}; {outcome.next_step} (its output: {log})")


def _checked(step: Step, log: str, host: Host) -> Package:
    package = host.settings.packages.get(str(step.component))
    if package is None or not os.path.isfile(package.path):
        raise StepError(f"{step}: its package is not on this host yet; run the playbook again")
    actual = file_sha256(package.path)
    if actual != package.sha256:
        raise StepError(f"{step}: {package.path} has sha256 {actual}, not {package.sha256}; remove it and run again")
    rc, output = run_logged([package.path, "--check"], log, host)
    if rc != 0:
        outcome = judge_failure(rc, output)
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


def run_logged(argv: List[str], log: str, host: Host) -> Tuple[int, str]:
    """Run argv in a session of its own, its output appended to a file; return (rc, output).

    The session keeps an installer alive when the run's own process is killed; the file shows its progress. Raises
    StepError when it does not start, or takes longer than the settings allow.
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
                env=system_environment(),
                cwd=os.path.dirname(argv[0]) or "/",
                start_new_session=True,
            )
        except OSError as error:
            raise StepError(f"{' '.join(argv)} does not start: {error}") from None
        host.run.command(argv, log, process.pid)
        try:
            rc = process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            ended = f"was ended after {timeout} s{_reached(_text_of(log, before))} (ascend_hdk_timeout)"
            raise StepError(f"{' '.join(argv)} {ended}; its output: {log}") from None
    return rc, _text_of(log, before)


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
