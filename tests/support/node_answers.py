# SPDX-License-Identifier: Apache-2.0
"""What a healthy node answers to `node probe`, and to `node examine` from the server and from its container."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, Mapping, Optional, Tuple

from telechat_runtime import __version__
from telechat_runtime.job.options import JobOptions

HDK = {
    "driver": "24.1.rc3",
    "firmware": "7.5.0.1.129",
    "firmware_release": "24.1.rc3",
    "driver_accepts": "[7.0.0,7.5.99]",
    "firmware_accepts": "[24.1,24.1.]",
}
SOFTWARE = {"cann": "8.0.RC3", "mindspore": "2.4.0", "mindformers": "1.3.0"}
NOTHING = dict.fromkeys([*HDK, *SOFTWARE])
BOARD = {"driver": "24.1.rc3", "firmware": "7.5.0.1.129", "compatibility": "OK"}
IMAGE = "sha256:" + "0a" * 32
VERIFIED = json.dumps({"fingerprint": {"driver": "24.1.rc3", "firmware": "7.5.0.1.129"}})


HEALTHY_CHIPS = {
    "program": "/usr/local/sbin/npu-smi",
    "error": None,
    "chips": [{"npu_id": npu, "chip_id": 0, "name": "910B2", "health": "OK"} for npu in range(8)],
}


NOTHING_SEEN: Dict[str, Any] = {
    "chips": {"program": None, "error": "there is no npu-smi", "chips": [], "boards": []},
    "kernels": None,
    "hccn": {"program": None, "devices": []},
    "container": None,
    "service": {"service": None, "upgrade": None},
}
"""What a place answers where the server's side is out of sight."""


def probe_answer(request: Optional[Mapping[str, Any]] = None, **changes: Any) -> Dict[str, Any]:
    """Return the answer of an idle node to `node probe`, which has what is asked for; `changes` replace fields."""
    asked = {"paths": (), "port": None, "tree": None, "read": (), "folders": (), "chips": False, **(request or {})}
    port = asked["port"]
    return {
        "job_root": "/var/lib/telechat",
        "hostname": "node",
        "resolves": True,
        "lease": None,
        "service": None,
        "paths": dict.fromkeys(asked["paths"], "dir"),
        "port": {"wanted": port, "free": port, "peers": port + 1} if port else None,
        "tree": {"path": asked["tree"], "run_mindformer": True} if asked["tree"] else None,
        "read": dict.fromkeys(asked["read"]),
        "python": {"path": "/opt/ms/bin/python3", "version": "3.10"},
        "free_bytes": 1 << 40,
        "dataset": None,
        "checkpoint": None,
        "folders": dict.fromkeys(asked["folders"]),
        "chips": HEALTHY_CHIPS if asked["chips"] else None,
        **changes,
    }


def job_part(job_id: str = "finetune-1", state: str = "RUNNING", **changes: Any) -> Dict[str, Any]:
    """Return a job as `node status` has it; `changes` replace fields."""
    return {
        "state": state,
        "job_id": job_id,
        "kind": "finetune",
        "owner": "ada@bastion",
        "started": "2026-11-23T10:00:00Z",
        "ended": None,
        "exit_code": None,
        "reason": "",
        "failed_rank": None,
        "cause": "",
        **changes,
    }


def status_answer(*jobs: Dict[str, Any], lease: Optional[Dict[str, Any]] = None, **more: Any) -> Dict[str, Any]:
    """Return the answer to `node status`."""
    return {"lease": lease, "service": None, "jobs": list(jobs), **more}


def stop_answer(**changes: Any) -> Dict[str, Any]:
    """Return the answer to `node stop` when all processes of a job have ended; `changes` replace fields."""
    return {
        "event": "stopped",
        "state": "STOPPED",
        "exit_code": None,
        "reason": "stopped on request of ada@bastion",
        "failed_rank": None,
        "cause": "",
        "job_id": "finetune-1",
        "ended": [7],
        "left": [],
        **changes,
    }


def record_answer(rank: int = 0, **changes: Any) -> Dict[str, Any]:
    """Return the answer to `node record` of node0 or node1; `changes` replace fields of the record."""
    names = ("node0", "node1")
    identities = [
        {"name": name, "addr": f"192.0.2.1{index}", "npu_count": 8, "container": "telechat", "tree": ""}
        for index, name in enumerate(names)
    ]
    record = {
        "job_id": "finetune-1",
        "owner": "ada@bastion",
        "kind": "finetune",
        "node_rank": rank,
        "node_count": 2,
        "first_rank": rank * 8,
        "local_worker_num": 8,
        "job_root": "/var/lib/telechat",
        "argv": ["msrun", "--master_port=8118", "python3", "run_mindformer.py"],
        "env": {"HCCL_TIMEOUT": "1800", "RANK_TABLE_FILE": None},
        "path": ["/opt/ms/bin"],
        "env_script": None,
        "links": {},
        "output": "msrun.log",
        "grace_seconds": 10,
        "options": JobOptions(job_name="finetune").as_dict(),
        "node": names[rank],
        "nodes": identities,
        "tree": None,
        "device_target": "Ascend",
        "control_version": __version__,
        "master_addr": "192.0.2.10",
        "master_port": 8118,
        "metric_rank": 15,
        "config_diff": "",
        "results": [],
        "resumes": "",
        "restarts": 0,
        "files": ["config.yaml"],
        "written": "2026-11-23T10:00:00Z",
        "versions": {**NOTHING, **SOFTWARE, "telechat-run": __version__},
        "inputs": {},
        **changes,
    }
    outcome = {
        "state": "RUNNING",
        "started": "2026-11-23T10:00:00Z",
        "ended": None,
        "exit_code": None,
        "reason": "",
        "failed_rank": None,
    }
    return {"record": record, "outcome": outcome, "config": "seed: 1\n"}


def replay_answer(rank: int = 0, *, files: Optional[Mapping[str, str]] = None, **changes: Any) -> Dict[str, Any]:
    """Return the answer to `node record` with `replay`; `changes` replace fields of the record."""
    answer = record_answer(rank, **changes)
    names = ("job_root", "node_rank", "first_rank", "argv", "env", "path", "output", "options", "links")
    start = {name: answer["record"][name] for name in names}
    return {**answer, "start": {**start, "files": dict(files or {})}, "inputs_now": {}}


def checkpoint_answer(**changes: Any) -> Dict[str, Any]:
    """Return the answer to `node checkpoint-info` for a conversion that has been made; `changes` replace fields."""
    return {
        "problem": None,
        "source_ranks": 1,
        "parameters": 10,
        "bytes": 100,
        "to_make": 0,
        "result": "/out/TeleChat2-7B_ms",
        "target_ranks": 16,
        **changes,
    }


def npu(number: int, **changes: Any) -> Dict[str, Any]:
    """Return what hccn_tool says of a healthy NPU."""
    address = f"198.51.100.{10 + number}"
    return {"device": number, "address": address, "link": "UP", "net_health": "Success", "tls": "0", **changes}


def server(**changes: Any) -> Dict[str, Any]:
    """Return the answer of a server with eight NPUs; `changes` replace fields of its sections."""
    return _changed(
        {
            "versions": {"versions": {**NOTHING, **HDK}, "runtime": {"version": __version__, "sha256": None}},
            "chips": {
                "program": "/usr/local/sbin/npu-smi",
                "error": None,
                "chips": [{"npu_id": npu, "chip_id": 0, "name": "910B2", "health": "OK"} for npu in range(8)],
                "boards": [{"npu_id": npu, **BOARD} for npu in range(8)],
            },
            "kernels": {"running": "5.10.0-1", "installed": ["5.10.0-1"], "with_module": ["5.10.0-1"]},
            "hccn": {"program": "/usr/local/Ascend/driver/tools/hccn_tool", "devices": [npu(n) for n in range(8)]},
            "container": {"state": "running", "image": "telechat-ms:1.0", "image_id": IMAGE, "wanted_id": IMAGE},
            "service": {"service": None, "upgrade": None},
        },
        changes,
    )


def inside(**changes: Any) -> Dict[str, Any]:
    """Return the answer of its container; `changes` replace fields of its sections."""
    in_container = {**NOTHING, **SOFTWARE, "driver": HDK["driver"], "driver_accepts": HDK["driver_accepts"]}
    return _changed(
        {
            "versions": {"versions": in_container, "runtime": {"version": __version__, "sha256": None}},
            "probe": probe_answer({"port": 8118}, read={"/var/lib/telechat/verified.json": VERIFIED}),
            "jobs": status_answer(),
            "devices": [*(f"/dev/davinci{npu}" for npu in range(8)), "/dev/davinci_manager"],
            "leftovers": [],
        },
        changes,
    )


def examined(said: Dict[str, Any], request: Dict[str, Any], *, lost: Tuple[int, ...] = ()) -> Dict[str, Any]:
    """Answer an examination: the sections of `said` that are asked for; pings come back, but for those of `lost`."""
    now = time.time()
    results = [
        {"device": device, "address": address, "answered": device not in lost}
        for device, address in request.get("pings", [])
    ]
    known = {**NOTHING_SEEN, **said, "pings": {"results": results}}
    sections = {name: known[name] for name in request["sections"]}
    return {**sections, "clock": {"began": now, "ended": now}}


def _changed(answer: Dict[str, Any], changes: Dict[str, Any]) -> Dict[str, Any]:
    for section, fields in changes.items():
        answer[section] = {**answer[section], **fields} if isinstance(fields, dict) else fields
    return answer
