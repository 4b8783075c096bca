# SPDX-License-Identifier: Apache-2.0
"""Commands are argv lists all the way; this module turns one into text, once, for SSH and for people."""

from __future__ import annotations

import sys
from typing import List

from telechat_runtime.cluster.topology import Node

_SERVER_PYTHON = "python3"


def node_argv(node: Node, *words: str) -> List[str]:
    """Return the argv that runs `telechat-run node <words>` on the node: in its container if it has one.

    A node without a runtime path is this machine, and runs the package of this interpreter.
    """
    inside = ["docker", "exec", "-i", node.container] if node.container else []
    return [*_become(node), *inside, *_runtime(node, node.python), "node", *words]


def host_argv(node: Node, *words: str) -> List[str]:
    """Return the argv that runs `telechat-run node <words>` on the server itself, with the server's own interpreter.

    The container has the runtime from the server, at the same path.
    """
    return [*_become(node), *_runtime(node, _SERVER_PYTHON), "node", *words]


def _become(node: Node) -> List[str]:
    return ["sudo", "-n"] if node.connection.become else []


def _runtime(node: Node, python: str) -> List[str]:
    return [python, node.runtime_path] if node.runtime_path else [sys.executable, "-m", "telechat_runtime"]


def job_python(node: Node) -> str:
    """Return the interpreter with MindSpore on the node."""
    return node.python or sys.executable
