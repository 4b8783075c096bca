# SPDX-License-Identifier: Apache-2.0
"""What a healthy node answers to `node probe`, and to `node examine` from the server and from its container."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, Mapping, Optional, Tuple

from telechat_runtime import __version__

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
            "probe": {
                "job_root": "/var/lib/telechat",
                "hostname": "node",
                "resolves": True,
                "free_bytes": 1 << 40,
                "port": {"wanted": 8118, "free": 8118, "peers": 8119},
                "lease": None,
                "read": {"/var/lib/telechat/verified.json": VERIFIED},
            },
            "jobs": {"lease": None, "jobs": []},
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
    known = {**said, "pings": {"results": results}}
    sections = {name: known[name] for name in request["sections"] if name in known}
    return {**sections, "clock": {"began": now, "ended": now}}


def _changed(answer: Dict[str, Any], changes: Dict[str, Any]) -> Dict[str, Any]:
    for section, fields in changes.items():
        answer[section] = {**answer[section], **fields} if isinstance(fields, dict) else fields
    return answer
