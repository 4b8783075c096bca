# SPDX-License-Identifier: Apache-2.0
"""Asks all nodes for the record of a job."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from telechat_runtime.executor import FleetError, call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.node_client import NodeClient
from telechat_runtime.record import JobRecord, make_record


def record_answers(
    job_id: str, clients: Mapping[str, NodeClient], interrupt: Interrupt, *, replay: bool = False
) -> Dict[str, Dict[str, Any]]:
    """Return the answers of all nodes that have the job. Raises FleetError when none has it and some are silent."""

    def ask(name: str) -> Dict[str, Any]:
        client = clients[name]
        return client.record(job_id, client.node.job_root, replay=replay)

    try:
        return call_on_all(list(clients), ask, doing="reading the job's record", interrupt=interrupt)
    except FleetError as error:
        if replay or not any(answer["record"] for answer in error.results.values()):
            raise
        return error.results


def job_record(job_id: str, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> JobRecord:
    """Return the record of a job. Raises SpecError when no node knows it, or what kept all from answering."""
    return make_record(job_id, record_answers(job_id, clients, interrupt))
