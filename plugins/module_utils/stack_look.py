# SPDX-License-Identifier: Apache-2.0
"""Look once, read-only, at what stands on the HDK of a node: engine, image, weights, container, runtime, verification.

A wish is what a role's ``_<role>_wish`` says; only the roles that have one are judged.
"""

from __future__ import annotations

import glob
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from ansible.module_utils import (
    container_plan,
    container_unit,
    docker_daemon,
    image_plan,
    stack_fingerprint,
    weights_store,
)
from ansible.module_utils.ascend import image_archive, lease_file
from ansible.module_utils.ascend.host import free_bytes
from ansible.module_utils.command_result import Run
from ansible.module_utils.docker_objects import Inspected, inspect, other_engine
from ansible.module_utils.host_paths import kind_of, own_names
from ansible.module_utils.host_problem import Problem

STANDS_ON = {
    "ascend_hdk": (),
    "docker_engine": (),
    "telechat_weights": (),
    "telechat_image": ("docker_engine",),
    "telechat_container": ("ascend_hdk", "docker_engine", "telechat_image"),
    "telechat_runtime": ("telechat_container",),
    "verify": ("ascend_hdk", "docker_engine", "telechat_image", "telechat_container", "telechat_runtime"),
}


class Seen(NamedTuple):
    """What one role's part of the look found; ``pending`` is why the role has work, None when it has none.

    ``alone`` is work that leaves what stands on the role as it is.
    """

    pending: Optional[str] = None
    alone: bool = False
    facts: Dict[str, Any] = {}  # noqa: RUF012 - never changed
    problems: List[Problem] = []  # noqa: RUF012 - never changed
    cautions: List[Problem] = []  # noqa: RUF012 - never changed


def look(wishes: Dict[str, Dict[str, Any]], run: Run) -> Dict[str, Any]:
    """Return facts and pending reason by role, the roles whose work is ``alone``, problems and cautions of them all."""
    inspected = _inspect(wishes, run)
    seen = {}  # type: Dict[str, Seen]
    if "docker_engine" in wishes:
        seen["docker_engine"] = _docker_engine(wishes["docker_engine"], inspected, run)
    for role, judge in JUDGES.items():
        if role in wishes:
            seen[role] = judge(wishes[role], inspected)
    return {
        "facts": {role: item.facts for role, item in seen.items() if item.facts},
        "pending": {role: item.pending for role, item in seen.items() if item.pending},
        "alone": [role for role, item in seen.items() if item.alone],
        "problems": [problem for item in seen.values() for problem in item.problems],
        "cautions": [caution for item in seen.values() for caution in item.cautions],
    }


def spread(pending: Dict[str, str], scope: Iterable[str], alone: Iterable[str] = ()) -> Dict[str, str]:
    """Return pending with the roles of ``scope`` that stand on a pending one added; order of the roles' work.

    Of those in ``alone`` what stands on them stays as it is.
    """
    spreading, steady = dict(pending), set(alone)
    for role, below in STANDS_ON.items():
        reasons = [name for name in below if name in spreading and name not in steady]
        if role in scope and role not in spreading and reasons:
            spreading[role] = "stands on {}".format(", ".join(reasons))
    ordered = [role for role in STANDS_ON if role in spreading] + [role for role in spreading if role not in STANDS_ON]
    return {role: spreading[role] for role in ordered}


def _inspect(wishes: Dict[str, Dict[str, Any]], run: Run) -> Inspected:
    container, image, cli = "", "", ""
    for role in ("docker_engine", "telechat_image", "telechat_container", "verify"):
        wish = wishes.get(role, {})
        cli = cli or wish.get("cli", "")
        container = container or wish.get("container_name", "")
        image = image or wish.get("image_name", "")
    return inspect(run, cli, container, image) if cli else Inspected(reason="it was not asked")


def _docker_engine(wish: Dict[str, Any], inspected: Inspected, run: Run) -> Seen:
    other = other_engine(wish["cli"])
    if other:
        rule = "the roles and telechat-run need Docker itself, with the package's own client"
        next_step = f"remove what stands for docker, or name Docker's client in docker_engine_cli ({other} may stay)"
        return Seen(pending="it is not Docker", problems=[Problem(wish["cli"], f"it is {other}", rule, next_step)])
    daemon = docker_daemon.look(run, wish["service"])
    problems = _engine_problems(wish, inspected, daemon)
    path = daemon.config_path(wish["daemon_config_path"])
    config, unreadable = docker_daemon.read_config(path)
    settled = docker_daemon.settle(config, wish["daemon_config"], daemon)
    facts = {"installed": inspected.has_client, "reachable": inspected.reachable}
    if unreadable and wish["daemon_config"]:
        return Seen(pending="its configuration can't be read", facts=facts, problems=[*problems, unreadable])
    problems += settled.problems
    pending = inspected.reason or settled.reason
    alone = inspected.reachable and not settled.needs_restart
    cautions = []
    if not pending and not _enabled(wish["service"]):
        if daemon.has_unit or not daemon.unit:
            pending = "it does not start at boot"
        else:
            cautions = [_no_unit(wish["service"])]
    if settled.needs_restart and inspected.reachable:
        problems += _job_runs(wish, "docker_engine_daemon_config asks for a restart of Docker")
    return Seen(pending=pending, alone=alone, facts=facts, problems=problems, cautions=cautions)


def _engine_problems(wish: Dict[str, Any], inspected: Inspected, daemon: docker_daemon.Daemon) -> List[Problem]:
    """Return why the engine can't be brought: it is installed where there is none, started where there is one."""
    if inspected.reachable:
        return []
    if inspected.has_client:
        if not daemon.unit or daemon.has_unit:
            return []
        value = f"{inspected.reason}; its client is there, and systemd's {wish['service']} is {daemon.unit}"
        rule = "an engine is started where its client is, and never installed over another"
        next_step = "start it, name its unit in docker_engine_service, or remove the client to have Docker installed"
        return [Problem("docker_engine", value, rule, next_step)]
    if daemon.pid is not None:
        value = f"{inspected.reason}, but dockerd runs (pid {daemon.pid})"
        rule = "an engine is never installed over another"
        return [Problem("docker_engine", value, rule, "name its client in docker_engine_cli")]
    if not wish["install"]:
        rule = "docker_engine_install: false leaves the installation to the site"
        return [Problem("docker_engine", inspected.reason, rule, "install Docker, or leave this host out with --limit")]
    return []


def _no_unit(service: str) -> Problem:
    return Problem(
        check="docker_engine",
        value=f"Docker runs, and systemd has no unit {service}",
        rule="the container comes back after a reboot when the engine does",
        next_step="see that it starts at boot, or name its unit in docker_engine_service",
    )


def _job_runs(wish: Dict[str, Any], rule: str) -> List[Problem]:
    """Return the problem that a job holds the node, empty when none does."""
    holder = lease_file.holder(wish["job_root"])
    next_step = "wait for the job, or stop it with telechat-run stop"
    return [Problem("job lease", f"{holder} runs here", rule, next_step)] if holder else []


def _enabled(service: str) -> bool:
    return any(glob.glob(f"/etc/systemd/system/*.wants/{service}.{kind}") for kind in ("service", "socket"))


def _telechat_image(wish: Dict[str, Any], inspected: Inspected) -> Seen:
    if not wish["image_name"]:
        return Seen()
    settled, problems = dict(wish, name=wish["image_name"]), []
    if wish["source"] == "archive" and not wish["ids"] and not wish["archive_on_host"]:
        value = wish["archive_problem"] or "it is empty"
        rule = "telechat_image_source: archive needs the file that docker save made"
        next_step = "name that file in telechat_image_archive, or set telechat_image_source to build or pull"
        problems.append(Problem("telechat_image_archive", value, rule, next_step))
    if wish["archive_on_host"] and not wish["ids"]:
        try:
            settled["ids"] = image_archive.image_ids(wish["archive_on_host"])
        except (OSError, image_archive.ArchiveError) as error:
            rule = "the archive must hold the image, as docker save writes it"
            problems.append(
                Problem("telechat_image_archive", str(error), rule, "put it there, or correct the variable")
            )
    pending = image_plan.mismatch(settled, inspected.image) if inspected.reachable else inspected.reason
    return Seen(pending=pending, facts={"ids": settled["ids"]}, problems=problems if pending else [])


def _telechat_weights(wish: Dict[str, Any], inspected: Inspected) -> Seen:
    del inspected
    try:
        files = weights_store.parse_list(wish["files"])
    except weights_store.WeightsListError as error:
        rule = "inventory and role README say what an entry has"
        return Seen(
            pending="its list is wrong",
            problems=[Problem("telechat_weights_files", str(error), rule, "correct the entry")],
        )
    lacking = {item: weights_store.lacking(wish["dir"], item) for item in files}
    todo = [item for item in files if lacking[item]]
    problems = _weights_problems(wish["dir"], todo)
    pending = "; ".join(f"{item.name}: {lacking[item]}" for item in todo) or None
    if not pending and not os.path.isdir(wish["dir"]):
        pending = "there is no folder {}".format(wish["dir"])
    return Seen(pending=pending, problems=problems)


def _weights_problems(folder: str, todo: List[weights_store.WeightsFile]) -> List[Problem]:
    problems = [
        Problem(item.name, item.path + " is missing", "path is a file of the host", "mount it, or correct the path")
        for item in todo
        if item.path and not os.path.isfile(item.path)
    ]
    need, free = weights_store.needed_bytes(folder, todo), free_bytes(folder)
    if need > free:
        value = f"{weights_store.gigabytes(free)} free for {folder}"
        rule = f"the weights need {weights_store.gigabytes(need)}"
        problems.append(Problem("disk space", value, rule, "make room, or set telechat_weights_dir"))
    return problems


def _telechat_container(wish: Dict[str, Any], inspected: Inspected) -> Seen:
    if not wish["container_name"]:
        return Seen()
    if not inspected.reachable:
        return Seen(pending=inspected.reason)
    settled = container_plan.parameters(wish, kind_of, own_names())
    decision = container_plan.decide(
        settled, inspected.container, inspected.image, replace_unmanaged=wish["replace_unmanaged"]
    )
    if decision.action == "nothing":
        stale = container_unit.stale(container_unit.wanted(wish))
        # The container itself stays as it is.
        return Seen(pending=f"differs: {', '.join(stale)}", alone=True) if stale else Seen()
    refusal = container_plan.refusal(decision, wish["container_name"], lease_file.holder(wish["job_root"]))
    return Seen(pending=decision.reason, problems=[refusal] if refusal else [])


def _telechat_runtime(wish: Dict[str, Any], inspected: Inspected) -> Seen:
    del inspected
    stale = [path for path, sha256 in wish["files"].items() if stack_fingerprint.sha256_or_none(path) != sha256]
    # A job that runs has all that it needs of the old file (tests/contract/test_runtime_replaced.py), so the runtime is
    # replaced under it; the self-tests that would follow have to wait for the job's end.
    is_alone = lease_file.holder(wish["job_root"]) is not None
    return Seen(pending="differs: " + ", ".join(sorted(stale)) if stale else None, alone=is_alone)


def _verify(wish: Dict[str, Any], inspected: Inspected) -> Seen:
    current = stack_fingerprint.fingerprint(wish, inspected)
    pending = "asked for" if wish["always"] else stack_fingerprint.changed_parts(wish["stamp"], current)
    return Seen(pending=pending, problems=_job_runs(wish, "the self-tests would compute beside it") if pending else [])


JUDGES = {
    "telechat_image": _telechat_image,
    "telechat_weights": _telechat_weights,
    "telechat_container": _telechat_container,
    "telechat_runtime": _telechat_runtime,
    "verify": _verify,
}
