# SPDX-License-Identifier: Apache-2.0
"""Tries upgraded nodes with a real job, two by two, before they are given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, Optional, Sequence, Tuple

from telechat_runtime.upgrade.jobs import AT_ONCE, JobCommands


def pairs(hosts: Sequence[str]) -> List[Tuple[str, ...]]:
    """Return the hosts two by two; the last of an odd number is alone."""
    return [tuple(hosts[first : first + 2]) for first in range(0, len(hosts), 2)]


def smoke_jobs(hosts: Sequence[str], words: Sequence[str], commands: JobCommands) -> Dict[str, str]:
    """Run a job of `telechat-run` on each pair of the hosts, some pairs at a time.

    Returns host → why its pair's job failed; empty when all did well.
    """
    groups = pairs(hosts)

    def run(group: Tuple[str, ...]) -> Optional[str]:
        return commands.call(*words, "--limit", ",".join(group), "--out-of-service").failure

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = list(pool.map(run, groups))
    return {
        host: f"the job `telechat-run {' '.join(words)}` on {' and '.join(group)} failed: {answer}"
        for group, answer in zip(groups, answers)
        if answer is not None
        for host in group
    }
