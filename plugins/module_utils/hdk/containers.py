# SPDX-License-Identifier: Apache-2.0
"""Steps that stop containers for the driver's installer, and start them when all is done."""

from __future__ import annotations

import re
import time
from typing import List

from ansible.module_utils.hdk.state import Step
from ansible.module_utils.hdk.steps import Host, StepError, new_log, run_logged

_STOP_SECONDS = 60
# Docker's daemon comes up about when ssh does.
_STARTS, _PAUSE_SECONDS = 12, 5
_NO_DAEMON = re.compile(r"cannot connect to the docker daemon|is the docker daemon running", re.IGNORECASE)
_GONE = re.compile(r"no such container", re.IGNORECASE)


def stop(step: Step, host: Host) -> None:
    """Stop containers until START; what comes between, such as a power cut, does not forget them. Raises StepError.

    Their restart policy stays: docker does not start again at boot what was stopped so, unless it is `always`.
    """
    log = new_log(step)
    for name in step.targets:
        host.record.stops(name)
        _docker(["stop", f"--time={_STOP_SECONDS}", name], step, log, host)


def stop_for_good(step: Step, host: Host) -> None:
    """Stop containers so that they stay stopped, over a reboot too. Raises StepError."""
    log = new_log(step)
    for name in step.targets:
        # A policy but "no" brings a stopped container back with the engine, and npu-smi's mount would leave a folder.
        _docker(["update", "--restart=no", name], step, log, host)
        _docker(["stop", f"--time={_STOP_SECONDS}", name], step, log, host)
        host.record.started(name)


def start(step: Step, host: Host) -> None:
    """Start containers that STOP ended; one that was removed since is done with. Raises StepError.

    One that does not start is not tried again by later plans: the role telechat_container makes it anew.
    """
    log = new_log(step)
    for name in step.targets:
        rc, output, _ = run_logged(["docker", "start", name], log, host)
        for _ in range(_STARTS):
            if rc == 0 or not _NO_DAEMON.search(output):
                break
            time.sleep(_PAUSE_SECONDS)
            rc, output, _ = run_logged(["docker", "start", name], log, host)
        host.record.started(name)
        if rc != 0 and not _GONE.search(output):
            ended = f"docker start {name} ended with {rc}: {_last(output)}"
            raise StepError(f"{step}: {ended}; run playbooks/site.yml, which makes it anew")


def _docker(words: List[str], step: Step, log: str, host: Host) -> None:
    argv = ["docker", *words]
    rc, output, _ = run_logged(argv, log, host)
    if rc != 0:
        raise StepError(f"{step}: {' '.join(argv)} ended with {rc}: {_last(output)}; stop it by hand, then run again")


def _last(output: str) -> str:
    return (output.strip().splitlines()[-1:] or ["it printed nothing"])[0]
