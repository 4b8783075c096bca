# SPDX-License-Identifier: Apache-2.0
"""Stops the jobs of a wave after a checkpoint and begins them again, by the commands that a user would type."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import List, Optional, Sequence, Set

from telechat_runtime.upgrade.record import Record

AFTERWARDS = "afterwards"
ELSEWHERE = "elsewhere"

AT_ONCE = 8
"""Commands that run side by side: each is a process, and most of its time it waits."""


@dataclass(frozen=True)
class Answer:
    """What a command said on stdout, and why it failed; None when it did well."""

    stdout: str
    failure: Optional[str] = None


@dataclass(frozen=True)
class JobCommands:
    """How `telechat-run` is called for the inventory of this run; `vault` are options that open its secrets."""

    python: str
    inventory: Sequence[str]
    group: str
    vault: Sequence[str] = ()

    def call(self, *words: str) -> Answer:
        """Run a command to its end."""
        sources = [word for source in self.inventory for word in ("-i", source)]
        argv = [self.python, "-m", "telechat_runtime", *words, *sources, *self.vault, "--group", self.group]
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            return Answer(done.stdout)
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return Answer(done.stdout, f"exit code {done.returncode}: {' '.join(said[-3:]) or 'it said nothing'}")


def stop_jobs(jobs: Sequence[str], record: Record, commands: JobCommands, *, resume: str, seconds: int) -> List[str]:
    """Stop each job after its next checkpoint, on all its nodes, some jobs at a time; return a line for each.

    One that saves none within that time goes on, and its nodes are waited for as without this.
    """

    def stop(job_id: str) -> str:
        answer = commands.call("stop", job_id, "--at-checkpoint", "--checkpoint-timeout", str(seconds), "--json")
        if answer.failure:
            what = f"not stopped: {answer.failure}"
            record.add("job", job_id=job_id, what=what)
        else:
            # All of them: the wave may have but some.
            nodes = list(json.loads(answer.stdout)["nodes"])
            what = "stopped after a checkpoint"
            record.add("job", job_id=job_id, what=what, nodes=nodes, waits=resume == AFTERWARDS)
            if resume == ELSEWHERE:
                what += f"; {_resume(job_id, nodes, record, commands, '--nodes', str(len(nodes)))}"
        return f"job {job_id}: {what}"

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return list(pool.map(stop, jobs))


def resume_jobs(record: Record, commands: JobCommands, *, last: bool) -> List[str]:
    """Begin again the stopped jobs whose nodes are all back, the others too when this is the last time to try."""
    history = record.history()
    out: Set[str] = history.unavailable()
    lines = []
    for job_id, nodes in history.waiting_jobs().items():
        left = sorted(out & set(nodes))
        if not left:
            lines.append(f"job {job_id}: {_resume(job_id, nodes, record, commands)}")
        elif last:
            what = f"not begun again: {', '.join(left)} is out of service; `telechat-run finetune --resume {job_id}`"
            record.add("job", job_id=job_id, what=what, nodes=nodes, waits=True)
            lines.append(f"job {job_id}: {what}")
    return lines


def _resume(job_id: str, nodes: Sequence[str], record: Record, commands: JobCommands, *where: str) -> str:
    """Begin a job again; one that can't be waits for the next time."""
    failed = commands.call("finetune", "--resume", job_id, "--detach", *where).failure
    what = f"could not be begun again: {failed}" if failed else "begun again from its checkpoint"
    record.add("job", job_id=job_id, what=what, nodes=list(nodes), waits=bool(failed))
    return what
