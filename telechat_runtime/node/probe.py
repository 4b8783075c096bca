# SPDX-License-Identifier: Apache-2.0
"""`node probe`: answer in one round trip everything that a plan needs to know of this node."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from typing import Any, Callable, Dict, Optional

from telechat_runtime.ascend.host import free_bytes, name_error
from telechat_runtime.node import service
from telechat_runtime.node.facts import chips, mindrecord
from telechat_runtime.node.facts.data_folders import identify, look_at_checkpoint
from telechat_runtime.node.supervision import lease
from telechat_runtime.node.supervision.state import job_paths

_PORTS_TRIED = 100
_LAST_PORT = 65535
_MAX_READ_BYTES = 1 << 20
_VERSION_SECONDS = 20


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write the one answer; nothing on the node is changed."""
    out(look(request))
    return 0


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the answer, as the node protocol has it."""
    paths = job_paths(request, "probe")
    looked = lease.look(paths)
    hostname = socket.gethostname()
    answer: Dict[str, Any] = {
        "job_root": paths.job_root,
        "hostname": hostname,
        "resolves": name_error(hostname) is None,
        "lease": looked.held,
        "service": service.out_of_service(paths),
        "paths": {path: _kind(path) for path in request.get("paths", [])},
        "port": _port(request.get("port")),
        "tree": _tree(request.get("tree")),
        "read": {path: _text(path) for path in request.get("read", [])},
        "python": _python(request.get("python")),
        "free_bytes": free_bytes(paths.job_root),
        "clock": time.time(),
        "dataset": _dataset(request.get("dataset")),
        "checkpoint": look_at_checkpoint(request["checkpoint"]) if request.get("checkpoint") else None,
        "folders": {path: identify(path) for path in request.get("folders", [])},
        "chips": chips.health() if request.get("chips") else None,
    }
    if looked.stale:
        answer["stale_lease"] = looked.stale
    return answer


def _dataset(path: Optional[str]) -> Optional[Dict[str, Any]]:
    return mindrecord.look(path) if path and os.path.exists(path) else None


def _kind(path: str) -> Optional[str]:
    expanded = os.path.expanduser(path)
    if os.path.isdir(expanded):
        return "dir"
    return "file" if os.path.isfile(expanded) else None


def _port(wanted: Optional[int]) -> Optional[Dict[str, Optional[int]]]:
    if wanted is None:
        return None
    candidates = range(wanted, min(wanted + _PORTS_TRIED, _LAST_PORT + 1))
    free = itertools.chain((port for port in candidates if _is_free(port)), itertools.repeat(None))
    return {"wanted": wanted, "free": next(free), "peers": next(free)}


def _is_free(port: int) -> bool:
    """Tell by binding as msrun's scheduler will: on all addresses, a lingering closed connection no obstacle."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True


def _tree(path: Optional[str]) -> Optional[Dict[str, Any]]:
    if not path:
        return None
    return {"path": path, "run_mindformer": os.path.isfile(os.path.join(path, "run_mindformer.py"))}


def _text(path: str) -> Optional[str]:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            text = file.read(_MAX_READ_BYTES + 1)
    except (OSError, UnicodeDecodeError):
        return None
    return text if len(text) <= _MAX_READ_BYTES else None


def _python(name: Optional[str]) -> Optional[Dict[str, str]]:
    path = shutil.which(os.path.expanduser(name)) if name else None
    if path is None:
        return None
    argv = [path, "-c", "import platform; print(platform.python_version())"]
    try:
        version = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    # Not resolved: a virtual environment's interpreter is known by its own path, and msrun lies beside it.
    return {"path": path, "version": version}
