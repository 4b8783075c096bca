# SPDX-License-Identifier: Apache-2.0
"""Carry out a host's HDK plan up to its next reboot: look, take the first step, look again."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible.module_utils.hdk_installer import installer_argv, judge, last_line, progress
from ansible.module_utils.hdk_look import HdkLook
from ansible.module_utils.hdk_package_store import sha256_of
from ansible.module_utils.hdk_record import HdkRecord
from ansible.module_utils.hdk_state import DRIVER, REBOOT, REBOOT_GUIDE, Step
from ansible.module_utils.host_command import system_environment

LOG_FOLDER = "/var/log/ascend-hdk"
# More than the longest plan has: a host whose state never settles must not be installed to for ever.
_MOST_STEPS = 6
_GRACE_SECONDS = 30


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


class Progress(NamedTuple):
    """What was done, what is left, and whether a reboot comes next."""

    done: List[Step]
    seen: HdkLook

    @property
    def reboot(self) -> Optional[Step]:
        """The reboot that comes next, or None."""
        steps = self.seen.plan.steps
        return steps[0] if steps and steps[0].action == REBOOT else None


def converge(look: Callable[[], HdkLook], settings: Settings, record: HdkRecord) -> Progress:
    """Take the plan's steps until it is empty, refused, or begins with a reboot. Raises StepError."""
    done: List[Step] = []
    seen = look()
    while seen.plan.steps and seen.plan.steps[0].action != REBOOT:
        if len(done) == _MOST_STEPS:
            raise StepError(f"after {_MOST_STEPS} steps this is still to do: {'; '.join(map(str, seen.plan.steps))}")
        install(seen.plan.steps[0], seen, settings, record)
        done.append(seen.plan.steps[0])
        seen = look()
    return Progress(done=done, seen=seen)


def install(step: Step, seen: HdkLook, settings: Settings, record: HdkRecord) -> None:
    """Run one installer, after its package's checksum and the package's own check. Raises StepError."""
    component = str(step.component)
    if component == DRIVER and seen.facts.headers != "present":
        raise StepError(
            f"{step}: no /lib/modules/{seen.facts.kernel}/build; add the kernel's headers to ascend_hdk_os_packages"
        )
    package = _checked(step, settings)
    record.begin(component, step.action, step.version)
    argv = installer_argv(package.path, component, step.action, settings.user, settings.group)
    log = os.path.join(LOG_FOLDER, f"{component}-{step.version}.log")
    rc, output = run_logged(argv, log, settings.timeout)
    outcome = judge(rc, output)
    if not outcome.succeeded:
        raise StepError(f"{step}: {outcome.cause}; {outcome.next_step} (its output: {log})")
    # The guide reboots after every installer; else the driver's installer says whether it must be.
    owed = settings.reboot == REBOOT_GUIDE or component != DRIVER or outcome.reboot_required
    record.finish(component, reboot_owed=owed)


def _checked(step: Step, settings: Settings) -> Package:
    package = settings.packages.get(str(step.component))
    if package is None or not os.path.isfile(package.path):
        raise StepError(f"{step}: its package is not on this host yet; run the playbook again")
    actual = sha256_of(package.path)
    if actual != package.sha256:
        raise StepError(f"{step}: {package.path} has sha256 {actual}, not {package.sha256}; remove it and run again")
    rc, output = run_logged([package.path, "--check"], os.path.join(LOG_FOLDER, "check.log"), settings.timeout)
    if rc != 0:
        raise StepError(f"{step}: {package.path} --check ended with {rc}: {last_line(output)}")
    return package


def run_logged(argv: List[str], log: str, timeout: int) -> Tuple[int, str]:
    """Run argv in a session of its own, its output into a file; return (rc, output).

    The session keeps an installer alive when the connection breaks; the file shows its progress while it runs.
    Raises StepError when it takes longer than `timeout` seconds.
    """
    os.makedirs(os.path.dirname(log), mode=0o755, exist_ok=True)
    with open(log, "wb") as sink:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=system_environment(),
            cwd=os.path.dirname(argv[0]),
            start_new_session=True,
        )
        try:
            rc = process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            ended = f"was ended after {timeout} s{_reached(_text_of(log))} (ascend_hdk_timeout)"
            raise StepError(f"{' '.join(argv)} {ended}; its output: {log}") from None
    return rc, _text_of(log)


def _text_of(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as stream:
        return stream.read()


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
