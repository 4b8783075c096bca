# SPDX-License-Identifier: Apache-2.0
"""Errors that jobs are known to end with: how each is recognised, what it comes from, what to do.

docs/failures.md shows the same table; a test compares them. The words are other programs': those of HCCL are from
Huawei's published fault texts, no device was seen; those of msrun and MindFormers were seen with 2.7. What this project
says itself is recognised by its kind (`job.failure`), never by words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Optional, Tuple

from telechat_runtime.job.failure import Failure, FailureKind


@dataclass(frozen=True)
class KnownError:
    """An error by its name: a failure of one of these kinds, by one of these signals, or with `words` in a log.

    `words` is a regular expression over the log of the process that failed. `is_transient` when the same job may well
    succeed if it is restarted: --max-restarts is for those alone. `is_secondary` when it mostly comes of another rank's
    end: a node that failed of something else is the one to look at.
    """

    name: str
    cause: str
    remedy: str
    words: str = ""
    kinds: Tuple[FailureKind, ...] = ()
    signals: Tuple[str, ...] = ()
    is_transient: bool = False
    is_secondary: bool = False

    def as_dict(self) -> Dict[str, Any]:
        """Return the error as data; `passes` is the name that 0.1 had for `is_transient`."""
        return {
            "name": self.name,
            "cause": self.cause,
            "remedy": self.remedy,
            "passes": self.is_transient,
            "is_transient": self.is_transient,
        }

    def matches(self, failure: Failure, log: str) -> bool:
        """Return whether a failure, with these lines of a log, is this error."""
        has_words = bool(self.words) and re.search(self.words, log) is not None
        return has_words or failure.kind in self.kinds or failure.signal in self.signals


KNOWN_ERRORS = (
    KnownError(
        name="HCCL EI0002",
        words=r"\bEI0002\b",
        cause="a rank waited in a collective for one that had ended, hung, or was far behind",
        remedy="look at the rank that ended first; if all are alive and only slow, raise HCCL_EXEC_TIMEOUT by --env",
        is_transient=True,
        is_secondary=True,
    ),
    KnownError(
        name="HCCL EI0004",
        words=r"\bEI0004\b",
        cause="the rank table is not that of these cards",
        remedy="unset RANK_TABLE_FILE in telechat_env: msrun needs none",
    ),
    KnownError(
        name="HCCL EI0006",
        words=r"\bEI0006\b",
        cause="a rank could not connect to another one over the NPU network in time",
        remedy="telechat-run doctor pings the NPUs; if one starts late, raise HCCL_CONNECT_TIMEOUT by --env",
        is_transient=True,
        is_secondary=True,
    ),
    KnownError(
        name="HCCL EJ0001",
        words=r"\bEJ0001\b",
        cause="the card's HCCP process could not start: something of an earlier job is still on the card",
        remedy="telechat-run doctor shows leftovers; end them, then start again",
        is_transient=True,
    ),
    KnownError(
        name="port in use",
        words=r"[Aa]ddress already in use|Failed to call bind",
        cause="the scheduler's port is taken on rank 0's node",
        remedy="end what listens there, or set another telechat_master_port",
        is_transient=True,
    ),
    KnownError(
        name="workers missing",
        words=r"some processes in the cluster are not successfully spawned",
        cause="not all workers joined the scheduler in time",
        remedy="see the first error of the other nodes; if they only start slowly, raise --cluster-timeout",
        is_transient=True,
        is_secondary=True,
    ),
    KnownError(
        name="rank twice",
        words=r"Repeated registration node",
        cause="two nodes joined the same scheduler with one rank",
        remedy="telechat-run status shows another job with this scheduler; stop it",
    ),
    KnownError(
        name="disk full",
        words=r"No space left on device",
        kinds=(FailureKind.DISK_FULL,),
        cause="a disk that the job writes to is full",
        remedy="make room in the job root or the output folder, or save fewer checkpoints (keep_checkpoint_max)",
    ),
    KnownError(
        name="out of memory",
        words=r"[Oo]ut of memory|[Mm]emory not enough",
        cause="model, activations and batch do not fit",
        remedy="a smaller --batch-size, a shorter --seq-length, more --mp or --pp, or recomputation (docs/layouts.md)",
    ),
    KnownError(
        name="data workers",
        words=r"num_parallel_workers exceeds the boundary",
        cause="the yaml asks for more data workers than the node has CPUs",
        remedy="--set train_dataset.num_parallel_workers=N, and the same of eval_dataset",
    ),
    KnownError(
        name="resume record missing",
        words=r"latest_checkpointed_iteration\.txt",
        cause="the nodes do not see each other's checkpoints, which resuming over nodes needs",
        remedy="put the checkpoints on storage that all nodes share, and name it in telechat_shared_paths",
    ),
    KnownError(
        name="hang",
        kinds=(FailureKind.HANG,),
        cause="the training has not come forward for many times as long as a step usually takes",
        remedy="the workers' stacks, of all nodes, are in logs/stacks or at the end of their logs: one waits elsewhere "
        "than the others; a step that is that slow by nature needs a larger --hang-factor or --hang-floor",
        is_transient=True,
    ),
    KnownError(
        name="node lost",
        kinds=(FailureKind.NODE_LOST, FailureKind.SUPERVISOR_LOST, FailureKind.CONTAINER_STOPPED),
        cause="the node went down, its container was stopped, its link was cut, or the job's supervisor was killed",
        remedy="look at the node (uptime, `docker ps`, links); `telechat-run finetune --resume` goes on from the "
        "newest step, with --exclude on other nodes",
        is_transient=True,
    ),
    KnownError(
        name="killed",
        signals=("SIGKILL",),
        cause="somebody, or the kernel for want of memory, killed the process",
        remedy="`dmesg` on the node names what the kernel killed; then fewer data workers, or more memory",
        is_transient=True,
    ),
    KnownError(
        name="ended by MindSpore",
        signals=("SIGTERM",),
        cause="MindSpore ended its own worker, as it lost the scheduler or another rank, or as the node's clock "
        "jumped; or somebody ended it",
        remedy="look at the node that failed first and at the links; let NTP slew the clocks, not step them, "
        "during jobs",
        is_transient=True,
        is_secondary=True,
    ),
    KnownError(
        name="crash",
        signals=("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT"),
        words=r"Fatal Python error",
        cause="a library crashed in native code; the stacks are at the end of the worker's log",
        remedy="if it comes back at the same step, look at that step's data; else telechat-run doctor",
        is_transient=True,
    ),
)


def known_error(failure: Optional[Failure], lines: Iterable[str] = ()) -> Optional[KnownError]:
    """Return the known error that a failure and lines of the failed rank's log report: the first in the table, or None.

    The end of another node is that node's to explain.
    """
    failure = failure or Failure(FailureKind.UNKNOWN)
    if failure.kind is FailureKind.PEER:
        return None
    log = "\n".join([failure.error, *lines])
    return next((error for error in KNOWN_ERRORS if error.matches(failure, log)), None)
