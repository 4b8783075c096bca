# SPDX-License-Identifier: Apache-2.0
"""Where the files of a job lie on a node."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from telechat_runtime.ascend import lease_file, service_file
from telechat_runtime.errors import UsageError

JOB_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def checked_job_id(value: Any, *, option: str = "") -> str:
    """Return the value if it is a job id. Raises UsageError that names the option it came by."""
    if isinstance(value, str) and JOB_ID.fullmatch(value):
        return value
    raise UsageError(f"{option}{' ' if option else ''}{value!r} is no job id (small letters, digits and -, at most 63)")


@dataclass(frozen=True)
class JobPaths:
    """Every file of a job on a node; `job_root` is absolute, and the same inside and outside of the container."""

    job_root: str
    job_id: str

    @property
    def folder(self) -> str:
        """The job's own folder."""
        return f"{self.job_root}/jobs/{self.job_id}"

    @property
    def plan(self) -> str:
        """What `node start` was given."""
        return f"{self.folder}/plan.json"

    @property
    def state(self) -> str:
        """The job's state on this node, written atomically by its supervisor."""
        return f"{self.folder}/state.json"

    @property
    def reserve(self) -> str:
        """Room for the last states, spent when the disk is full."""
        return f"{self.folder}/reserve"

    @property
    def record(self) -> str:
        """What was run, with which versions, on which data."""
        return f"{self.folder}/record.json"

    @property
    def stop_request(self) -> str:
        """Who asked for the job's end, written before its supervisor is told."""
        return f"{self.folder}/stop.json"

    @property
    def supervisor_log(self) -> str:
        """What the supervisor has to say."""
        return f"{self.folder}/supervisor.log"

    @property
    def work(self) -> str:
        """The workers' current directory."""
        return f"{self.folder}/work"

    @property
    def logs(self) -> str:
        """The folder that msrun gets as --log_dir."""
        return f"{self.folder}/logs"

    @property
    def config(self) -> str:
        """The job's own copy of the MindFormers yaml."""
        return f"{self.work}/config.yaml"

    @property
    def output(self) -> str:
        """Checkpoints and strategies."""
        return f"{self.work}/output"

    @property
    def service(self) -> str:
        """Why the node is out of service; not there while it is in service."""
        return f"{self.job_root}/{service_file.NAME}"

    @property
    def lease(self) -> str:
        """Who holds the node."""
        return f"{self.job_root}/{lease_file.NAME}"

    def worker_log(self, rank: int) -> str:
        """The log of the worker of that global rank."""
        return f"{self.logs}/worker_{rank}.log"
