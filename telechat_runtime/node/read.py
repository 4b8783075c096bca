# SPDX-License-Identifier: Apache-2.0
"""`node read`: a file of a job's work folder, in pieces, with the checksum of the whole at the end."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any, Callable, Dict

from telechat_runtime.errors import PreflightError, UsageError
from telechat_runtime.node.supervision.state import job_paths

_PIECE_BYTES = 3 << 16  # a multiple of three: base64 without padding inside


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write the file as data events and one end event.

    Raises:
        UsageError: The name leads out of the work folder.
        PreflightError: The job has no such file here, or it can't be read.

    """
    paths = job_paths(request, request["job_id"])
    name = request.get("path")
    if not isinstance(name, str) or not name or "\0" in name:
        raise UsageError("the request has no path")
    work = os.path.realpath(paths.work)
    target = os.path.realpath(os.path.join(work, name))
    if not target.startswith(work + os.sep):
        raise UsageError(f"{name!r} lies outside of the job's work folder")
    if not os.path.isfile(target):
        raise PreflightError(f"job {paths.job_id} has no file {name} here", next_step=f"look into {paths.work}")
    try:
        with open(target, "rb") as file:
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(_PIECE_BYTES), b""):
                digest.update(piece)
                out({"event": "data", "base64": base64.b64encode(piece).decode("ascii")})
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PreflightError(f"{target} can't be read: {error.strerror}") from error
    out({"event": "end", "sha256": digest.hexdigest()})
    return 0
