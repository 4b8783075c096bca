# SPDX-License-Identifier: Apache-2.0
"""The keeper of a detached job: `telechat-run attach JOB --keep` in the background of the control machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple

from telechat_runtime.cli.verbose import verbosity_words
from telechat_runtime.cluster.inventory import InventoryOptions
from telechat_runtime.errors import UsageError
from telechat_runtime.local_folders import state_folder

_PRIVATE = 0o600


class Keeper(NamedTuple):
    """A keeper that runs, and where it writes what it sees and does."""

    pid: int
    log: Path


def check_keeper(inventory: InventoryOptions) -> None:
    """Raise UsageError where a keeper in the background could not read the inventory."""
    if inventory.ask_vault_password:
        raise UsageError(
            "--detach with --max-restarts reads the inventory in the background, where nobody can be asked",
            next_step="use --vault-password-file instead of --ask-vault-password",
        )


def start_keeper(job_id: str, inventory: InventoryOptions) -> Keeper:
    """Start a keeper that outlives this command, its terminal and its SSH session."""
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{job_id}.log"
    argv = [
        sys.executable,
        "-m",
        "telechat_runtime",
        "attach",
        job_id,
        "--keep",
        *inventory_words(inventory),
        *verbosity_words(),
    ]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE)
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=subprocess.STDOUT, start_new_session=True
        )
    finally:
        os.close(descriptor)
    return Keeper(child.pid, log)


def inventory_words(inventory: InventoryOptions) -> List[str]:
    """Return the options of the command line that choose the same nodes."""
    words = ["--group", inventory.group]
    for name, values in (
        ("--inventory", inventory.sources),
        ("--vault-id", inventory.vault_ids),
        ("--vault-password-file", inventory.vault_password_files),
    ):
        for value in values:
            words += [name, value]
    return [*words, *(["--limit", inventory.limit] if inventory.limit else [])]
