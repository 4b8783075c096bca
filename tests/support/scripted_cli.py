# SPDX-License-Identifier: Apache-2.0
"""Runs telechat-run's commands against scripted nodes: the command line, the use cases and the client are real."""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from typing import Mapping, NamedTuple, Optional

import pytest
from click.testing import CliRunner

from telechat_runtime.cli.main import cli
from telechat_runtime.cluster.inventory import Clusters
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import TelechatError
from telechat_runtime.remote.client import NodeClient

_MODULES = (
    "attach",
    "check",
    "cordon",
    "doctor",
    "jobs",
    "logs",
    "nodes",
    "run_job",
    "show",
    "status",
    "stop",
    "sweep",
)


class Ended(NamedTuple):
    """How a command ended, and all that it said."""

    exit_code: int
    text: str


def use_fleet(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, clients: Mapping[str, NodeClient]) -> None:
    """Let every command find this cluster in its inventory, and reach its nodes by these clients."""
    for name in _MODULES:
        module = importlib.import_module(f"telechat_runtime.cli.{name}")
        monkeypatch.setattr(module, "open_fleet", lambda _cluster: nullcontext(dict(clients)))
        monkeypatch.setattr(module, "load_cluster", lambda *_: cluster, raising=False)
        monkeypatch.setattr(module, "load_clusters", lambda *_: Clusters(cluster, cluster), raising=False)


def run(*words: str) -> Ended:
    """Run a command as `telechat-run` does; an exception that is not a TelechatError is a defect, and raised."""
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    error: Optional[BaseException] = result.exception
    if isinstance(error, TelechatError):
        return Ended(error.exit_code, f"{result.output}{error}")
    if error is not None and not isinstance(error, SystemExit):
        raise error
    code = result.return_value if isinstance(result.return_value, int) else 0
    return Ended(code, result.output)
