# SPDX-License-Identifier: Apache-2.0
"""What `node start` may be asked for; checked as a whole before anything is touched."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Tuple, Type, Union

from telechat_runtime import PROTOCOL, __version__
from telechat_runtime.ascend.schema import UPGRADE_RUNTIME
from telechat_runtime.errors import ProtocolError, UsageError
from telechat_runtime.job.paths import JobPaths, checked_job_id
from telechat_runtime.node.supervision.state import job_paths

_Kind = Union[Type[Any], Tuple[Type[Any], ...]]
_SECONDS: _Kind = (int, float)
_PEERS: Dict[str, _Kind] = {
    "addr": str,
    "port": int,
    "names": list,
    "token": str,
    "join_seconds": _SECONDS,
    "silence_seconds": _SECONDS,
}
_NEEDED: Dict[str, _Kind] = {
    "job_id": str,
    "owner": str,
    "kind": str,
    "job_root": str,
    "argv": list,
    "env": dict,
    "files": dict,
    "output": str,
    "grace_seconds": _SECONDS,
}


def checked_paths(request: Dict[str, Any]) -> JobPaths:
    """Return the paths of the job that is asked for.

    Raises UsageError that names everything wrong with the request, ProtocolError for one of a newer protocol.
    """
    _check_protocol(request)
    missing = [name for name in _NEEDED if name not in request]
    if missing:
        raise UsageError(f"the request to start lacks {', '.join(missing)}")
    wrong = [name for name, kind in _NEEDED.items() if not isinstance(request[name], kind)]
    if wrong:
        raise UsageError(f"the request to start has values of a wrong type: {', '.join(wrong)}")
    paths = job_paths(request, checked_job_id(request["job_id"]))
    problems = [*_wrong_command(request), *_wrong_files(paths, request), *_wrong_links(paths, request)]
    problems += _wrong_peers(request)
    if problems:
        raise UsageError("\n".join(problems))
    return paths


def _check_protocol(request: Dict[str, Any]) -> None:
    # What a newer telechat-run wants of a job may be more than this runtime knows, so it would run another job.
    protocol = request.get("protocol", 1)
    if not isinstance(protocol, int) or protocol > PROTOCOL:
        raise ProtocolError(
            f"the request to start is of protocol {protocol}, this runtime is telechat-run {__version__}, "
            f"protocol {PROTOCOL}",
            next_step=UPGRADE_RUNTIME,
        )


def _wrong_command(request: Dict[str, Any]) -> List[str]:
    problems = []
    if not request["argv"] or not all(isinstance(word, str) and "\0" not in word for word in request["argv"]):
        problems.append("argv is not a list of words")
    for name, value in request["env"].items():
        if not name or "=" in name or "\0" in name:
            problems.append(f"{name!r} is no name of an environment variable")
        if not (value is None or (isinstance(value, str) and "\0" not in value)):
            problems.append(f"the environment variable {name} is neither a text nor null")
    return problems


def _wrong_files(paths: JobPaths, request: Dict[str, Any]) -> List[str]:
    problems = []
    if os.path.basename(request["output"]) != request["output"] or request["output"] in ("", ".", ".."):
        problems.append(f"the output {request['output']!r} is no file name in the job's logs folder")
    for name, text in request["files"].items():
        if _is_outside(paths, name):
            problems.append(f"the file {name!r} would lie outside of the job's work folder")
        elif not isinstance(text, str):
            problems.append(f"the file {name!r} has no text")
    return problems


def _wrong_links(paths: JobPaths, request: Dict[str, Any]) -> List[str]:
    links = request.get("links") or {}
    if not isinstance(links, dict):
        return ["links does not map names to files"]
    problems = []
    for name, source in links.items():
        if _is_outside(paths, name):
            problems.append(f"the link {name!r} would lie outside of the job's work folder")
        elif not isinstance(source, str) or not os.path.isfile(source):
            problems.append(f"the link {name!r} would point to {source!r}, which is no file here")
    return problems


def _is_outside(paths: JobPaths, name: str) -> bool:
    return "\0" in name or not os.path.normpath(os.path.join(paths.work, name)).startswith(paths.work + os.sep)


def _wrong_peers(request: Dict[str, Any]) -> List[str]:
    peers = request.get("peers")
    if peers is None:
        return []
    if not isinstance(peers, dict) or not all(isinstance(peers.get(name), kind) for name, kind in _PEERS.items()):
        return [f"peers does not hold {', '.join(_PEERS)}, each of its type"]
    if request.get("node_rank") not in range(len(peers["names"])):
        return [f"node_rank {request.get('node_rank')!r} is none of the {len(peers['names'])} nodes that peers names"]
    return []
