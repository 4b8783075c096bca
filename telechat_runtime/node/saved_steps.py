# SPDX-License-Identifier: Apache-2.0
"""`node saved-steps`: which steps of a job this node has files of, for the ranks that are to go on here."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Callable, Dict, List

from telechat_runtime.node.job_output import output_folder
from telechat_runtime.node.programs.checkpoints.saved_steps import saved_ranks, saved_steps
from telechat_runtime.node.supervision.state import job_paths

FOLDER = "checkpoint"


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write the one answer; nothing on the node is changed."""
    out(look(request))
    return 0


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the folder of checkpoints and the steps in it, by rank.

    Looked at are the `ranks` of the request, as far as they are here, and where one is not, one rank that is: it may
    serve instead. A node without the job looks at `output`, where the job's own nodes have it: that may be shared.
    """
    paths = job_paths(request, request["job_id"])
    output = output_folder(paths) if os.path.exists(paths.config) else request.get("output")
    if not output:
        return {"folder": None, "ranks": {}}
    folder = os.path.join(output, FOLDER)
    here = saved_ranks(folder)
    wanted: List[int] = [rank for rank in request["ranks"] if rank in here]
    if len(wanted) < len(request["ranks"]):
        wanted += [rank for rank in here if rank not in wanted][:1]
    return {
        "folder": folder,
        "ranks": {str(rank): [dataclasses.asdict(step) for step in saved_steps(folder, rank)] for rank in wanted},
    }
