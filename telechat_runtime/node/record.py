# SPDX-License-Identifier: Apache-2.0
"""The record of a job on this node, `record.json`: what was run, by which versions, on which data.

`node start` writes it before the job runs; how the job ended stands in state.json. `node record` reads both.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, Optional

from telechat_runtime.ascend.atomic_file import replace_file
from telechat_runtime.ascend.schema import UPGRADE_RUNTIME, NewerSchemaError, check_schema
from telechat_runtime.errors import PreflightError, ProtocolError
from telechat_runtime.job import schemas
from telechat_runtime.job.failure import failure_data
from telechat_runtime.job.paths import JobPaths, checked_job_id
from telechat_runtime.node import versions
from telechat_runtime.node.facts.fingerprint import fingerprint
from telechat_runtime.node.supervision.state import job_paths, read_state, utc_now
from telechat_runtime.redaction import masked

_OUTCOME = ("started", "ended", "exit_code", "reason", "failed_rank")


def write(paths: JobPaths, request: Dict[str, Any]) -> None:
    """Write the record of a job that is about to start; secrets of its environment are masked in it."""
    known = request.get("record") or {}
    record = {
        "schema": schemas.RECORD,
        **{name: value for name, value in request.items() if name not in ("files", "record", "peers")},
        **known,
        "env": masked(request["env"]),
        "options": _masked_options(request.get("options") or {}),
        "files": sorted(request["files"]),
        "written": utc_now(),
        "versions": _versions(request, known),
        "inputs": {name: fingerprint(path) for name, path in known.get("inputs", {}).items()},
    }
    replace_file(paths.record, json.dumps(record, indent=1))


def _masked_options(options: Dict[str, Any]) -> Dict[str, Any]:
    return {**options, "env": masked(options.get("env") or {})}


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write record, outcome and yaml of a job; null for each that this node does not have.

    With `replay` also what `node start` was given, secrets and all, and the inputs as they are now.
    """
    paths = job_paths(request, checked_job_id(request.get("job_id")))
    record = _document(paths.record)
    answer: Dict[str, Any] = {"record": record, "outcome": _outcome(paths), "config": _text(paths.config)}
    if request.get("replay"):
        answer["start"] = _document(paths.plan)
        answer["inputs_now"] = _inputs_now(paths, record or {})
    out(answer)
    return 0


def _inputs_now(paths: JobPaths, record: Dict[str, Any]) -> Dict[str, Any]:
    try:
        check_schema(record, schemas.RECORD, paths.record)
    except NewerSchemaError as error:
        raise ProtocolError(str(error), next_step=UPGRADE_RUNTIME) from error
    return {name: fingerprint(then["path"]) for name, then in record.get("inputs", {}).items()}


def _versions(request: Dict[str, Any], known: Dict[str, Any]) -> Dict[str, Optional[str]]:
    found = versions.look({"tree": known.get("tree"), "env_script": request.get("env_script")})
    return {
        **found["versions"],
        "telechat-run": found["runtime"]["version"],
        "runtime sha256": found["runtime"]["sha256"],
        "python": found["python"],
        "kernel": found["kernel"],
    }


def _outcome(paths: JobPaths) -> Optional[Dict[str, Any]]:
    if not os.path.exists(paths.state):
        return None
    job = read_state(paths)
    known = {name: getattr(job, name) for name in _OUTCOME}
    return {"state": str(job.state), **known, "failure": failure_data(job.failure)}


def _document(path: str) -> Optional[Dict[str, Any]]:
    text = _text(path)
    if text is None:
        return None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PreflightError(f"{path} can't be read: {error}") from error
    return document if isinstance(document, dict) else None


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise PreflightError(f"{path} can't be read: {error}") from error
