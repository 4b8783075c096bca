# SPDX-License-Identifier: Apache-2.0
"""The command line of msrun and the environment of its workers, as data.

Option names: `msrun --help` of MindSpore 2.4 to 2.7. `--join=True` always: without it msrun returns 0 at once, whatever
becomes of the workers.
"""

from __future__ import annotations

import ipaddress
import posixpath
import shlex
from typing import Dict, List, Mapping, Optional, Sequence

from telechat_runtime.cluster.contract import ON_NPU
from telechat_runtime.errors import SpecError

# MindFormers' tuning for the 115B model, from the TeleChat2 tree's own documentation.
MODEL_ENV: Mapping[str, Mapping[str, str]] = {
    "telechat_115b": {
        "ENABLE_CELL_REUSE": "1",
        "MS_DEV_SIDE_EFFECT_LOAD_ELIM": "3",
        "MS_MEMORY_POOL_RECYCLE": "1",
        "GE_NOT_CUT": "1",
    },
}


def msrun_argv(
    *,
    world_size: int,
    local_worker_num: int,
    master_addr: str,
    master_port: int,
    node_rank: int,
    log_dir: str,
    cluster_timeout: int,
    program: Sequence[str],
) -> List[str]:
    """Return msrun's argv for one node; `program` is what every worker (and the scheduler) runs."""
    return [
        "msrun",
        f"--worker_num={world_size}",
        f"--local_worker_num={local_worker_num}",
        f"--master_addr={master_addr}",
        f"--master_port={master_port}",
        f"--node_rank={node_rank}",
        f"--log_dir={log_dir}",
        "--join=True",
        f"--cluster_time_out={cluster_timeout}",
        # No worker has this rank. By default msrun runs `tail -f` for each worker: every log would be written twice.
        f"--tail_worker_log={world_size}",
        *program,
    ]


def python_name(python: str) -> str:
    """Return the name by which msrun starts workers: it takes `python` or `python3` from PATH, nothing else."""
    name = posixpath.basename(python)
    return name if name in ("python", "python3") else "python3"


def check_master_addr(addr: str, node: str) -> None:
    """Raise SpecError for an address that msrun can't use: it turns names and addresses into IPv4."""
    try:
        ipaddress.IPv6Address(addr)
    except ipaddress.AddressValueError:
        return
    raise SpecError(
        f"the master's address {addr} ({node}) is IPv6; msrun understands IPv4 and host names only",
        next_step=f"set ascend_node_addr of {node} to its IPv4 address",
    )


def worker_env(
    *,
    device_target: str,
    node_addr: str,
    npus: int,
    npu_count: int,
    world_size: int,
    tree: str,
    shared_paths: Sequence[str],
    model_name: str,
    log_dir: str,
    extra: Mapping[str, str],
) -> Dict[str, Optional[str]]:
    """Return the environment of a node's workers; None unsets a variable. `extra` (telechat_env) has the last word."""
    job: Dict[str, Optional[str]] = {}
    if device_target == ON_NPU:
        job.update(MODEL_ENV.get(model_name, {}))
        # Where CANN's own logs go (CANN's list of environment variables); else all jobs' are mixed in ~/ascend.
        job["ASCEND_PROCESS_LOG_PATH"] = posixpath.join(log_dir, "ascend")
        if npus < npu_count:
            job["ASCEND_RT_VISIBLE_DEVICES"] = ",".join(str(device) for device in range(npus))
        if world_size > npus and _is_ip(node_addr):
            job["HCCL_IF_IP"] = node_addr
    return {**_of_every_job(shared_paths), **job, **_of_the_site(tree, extra)}


def node_env(*, tree: str, shared_paths: Sequence[str], extra: Mapping[str, str]) -> Dict[str, Optional[str]]:
    """Return the part of worker_env that every job on a node has; None unsets a variable."""
    return {**_of_every_job(shared_paths), **_of_the_site(tree, extra)}


def environment_file(env_script: str, env: Mapping[str, Optional[str]]) -> str:
    """Return the shell text that sets an environment as `node start` does: the script first, then the variables."""
    lines = [f". {shlex.quote(env_script)}"] if env_script else []
    for name, value in env.items():
        if value is None:
            lines.append(f"unset {name}")
        elif name == "PYTHONPATH":
            # Before the folders of the script and the container, as node start puts them.
            lines.append(f"export {name}={shlex.quote(value)}${{{name}:+:${name}}}")
        else:
            lines.append(f"export {name}={shlex.quote(value)}")
    return "".join(f"{line}\n" for line in lines)


def _of_every_job(shared_paths: Sequence[str]) -> Dict[str, Optional[str]]:
    # With faulthandler a worker that crashes, or that is told to abort, writes into its log where it stood.
    env: Dict[str, Optional[str]] = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "RANK_TABLE_FILE": None}
    return {**env, "SHARED_PATHS": ",".join(shared_paths)} if shared_paths else env


def _of_the_site(tree: str, extra: Mapping[str, str]) -> Dict[str, Optional[str]]:
    folders = [folder for folder in (tree, extra.get("PYTHONPATH", "")) if folder]
    return {**extra, "PYTHONPATH": ":".join(folders)} if folders else dict(extra)


def _is_ip(addr: str) -> bool:
    try:
        ipaddress.ip_address(addr)
    except ValueError:
        return False
    return True
