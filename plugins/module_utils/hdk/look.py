# SPDX-License-Identifier: Apache-2.0
"""The one look's part for the role ascend_hdk: facts, the plan as pending work, and what forbids it."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import asdict, replace
from typing import Any, Dict, List, NamedTuple, Optional

from ansible.module_utils.command_result import Run
from ansible.module_utils.hdk import usage as hdk_usage
from ansible.module_utils.hdk.chips import npu_smi_folders
from ansible.module_utils.hdk.estimate import Estimate, estimate
from ansible.module_utils.hdk.facts import CHIP_DEVICES, kernel_headers, look_at_hdk
from ansible.module_utils.hdk.flash import flash_base
from ansible.module_utils.hdk.plan import plan_hdk
from ansible.module_utils.hdk.refusals import HEADERS_REMEDIES, may_be_too_old
from ansible.module_utils.hdk.run import HdkRun, progress_lines
from ansible.module_utils.hdk.state import (
    ABSENT,
    DRIVER,
    FIRMWARE,
    INSTALL,
    PRESENT,
    REBOOT,
    REFUSE,
    STOP,
    UPGRADE,
    HdkFacts,
    HdkPlan,
    HdkWish,
    changes_driver,
)
from ansible.module_utils.hdk.verdict import hdk_problems
from ansible.module_utils.host_problem import Problem
from ansible.module_utils.kernel_drift import REBUILD, WARN, Verdict, Work, judge, look_at_next_kernel
from ansible.module_utils.os_packages import KERNEL, for_kernel, missing_packages, not_installable

ROLE = "ascend_hdk"

NOT_ASKED: Dict[str, Any] = {"facts": {}, "pending": {}, "problems": [], "cautions": []}


class HdkLook(NamedTuple):
    """Facts of a host, the wish for it, and the plan that follows from both."""

    facts: HdkFacts
    wish: HdkWish
    plan: HdkPlan

    def problems(self) -> List[Problem]:
        """Return what forbids the plan or, when nothing is left to do, what is still wrong with the chips."""
        if self.plan.refusals or self.plan.steps or self.wish.state == ABSENT:
            return list(self.plan.refusals)
        return hdk_problems(self.facts, self.wish)

    def cautions(self) -> List[Problem]:
        """Return what an operator ought to know before these steps."""
        named = {holder.container for holder in self.facts.holders if holder.has_npu()}
        named |= {name for step in self.plan.steps if step.action == STOP for name in step.targets}
        idle = [c.name for c in self.facts.containers if c.devices and not {c.name, c.id[:12]} & named]
        if not self.plan.steps or self.wish.state == ABSENT or not idle:
            return []
        return [
            Problem(
                check="npu_containers",
                value=f"{', '.join(idle)} may use the NPUs, though no process there has one open",
                rule="nothing may use the NPUs while the HDK changes, and the reboot ends all containers",
                next_step="start no job there until the plan is done",
            )
        ]

    def estimate(self) -> Estimate:
        """Return how long the plan takes, or the one that is held up."""
        return estimate(self.plan.steps or self.plan.held_up)

    def components(self) -> List[str]:
        """Return whose packages the plan takes, driver first."""
        planned = [step.component for step in self.plan.steps if step.action in (INSTALL, UPGRADE)]
        return [component for component in (DRIVER, FIRMWARE) if component in planned]

    def versions(self) -> Dict[str, Any]:
        """Return what is installed and what runs, as --diff shows it."""
        return {
            "driver": {
                "installed": self.facts.driver.on_disk,
                "running": _distinct(chip.driver_version for chip in self.facts.chips),
            },
            "firmware": {
                "installed": self.facts.firmware.on_disk,
                "running": _distinct(chip.firmware_version for chip in self.facts.chips),
            },
        }


def look(settings: Dict[str, Any], run: Run, family: Optional[str], root: str = "/") -> HdkLook:
    """Look at the host and plan, changing nothing; `settings` is the wish of the role ascend_hdk."""
    facts = look_at_hdk(run, family, os_packages(settings, family), settings.get("job_root"), root)
    wish = hdk_wish(settings, facts.architecture)
    if wish.state == PRESENT and may_be_too_old(facts, wish):
        facts = replace(facts, flash_base=flash_base(run, facts.driver.home, root))
    plan = plan_hdk(facts, wish)
    steps = plan.steps or plan.held_up
    # Nobody else wants to know these, and they take their time.
    if (steps and facts.driver_loaded) or wish.state == ABSENT:
        facts = replace(facts, containers=tuple(hdk_usage.containers(run, root)))
        if changes_driver(steps):
            facts = replace(facts, holders=tuple(hdk_usage.lasting_holders(run, root)))
        plan = plan_hdk(facts, wish)
    return HdkLook(facts=facts, wish=wish, plan=plan)


def answer(settings: Dict[str, Any], run: Run, family: Optional[str], root: str = "/") -> Dict[str, Any]:
    """Return facts, pending, problems and cautions of the role in the shape of `ascend_info`."""
    if not settings["packages"] and settings.get("state", PRESENT) == PRESENT:
        # Without packages there is no wanted version; their problems are told by the control side.
        return dict(NOT_ASKED)
    state = HdkRun(root).going_on()
    if state:
        return _going_on(settings, state)
    seen = look(settings, run, family, root)
    problems, cautions = seen.problems(), seen.cautions()
    facts = dict(
        seen.versions(),
        chips=[asdict(chip) for chip in seen.facts.chips],
        npu_smi_error=seen.facts.npu_smi_error,
        plan=[str(step) for step in seen.plan.steps],
        held_up=[str(step) for step in seen.plan.held_up],
        components=seen.components(),
        estimate_seconds=seen.estimate().most,
    )
    if seen.plan.steps and seen.wish.state == PRESENT:
        problems += [_npu_smi_folder(path) for path in npu_smi_folders(root)]
        preparation = prepare(settings, run, family, seen, root)
        problems += preparation.pop("problems")
        cautions += preparation.pop("cautions")
        facts.update(preparation)
    verdict = judge_next_kernel(settings, run, family, seen, root)
    leftover = packages_left(settings, root) if seen.wish.state == PRESENT and not seen.plan.steps else []
    facts.update(builds_module=bool(verdict.build), without_steps=not seen.plan.steps)
    return {
        "facts": facts,
        "pending": _pending(settings, seen, facts, verdict, leftover),
        "problems": problems + [problem for problem in [verdict.problem] if problem],
        "cautions": cautions + [caution for caution in [verdict.caution] if caution],
    }


def _going_on(settings: Dict[str, Any], state: Dict[str, Any]) -> Dict[str, Any]:
    """Return the answer while steps are being taken: what an installer is at, is not to be judged."""
    present = settings.get("state", PRESENT) == PRESENT
    facts = {
        "plan": [],
        "components": [DRIVER, FIRMWARE] if present else [],
        "missing_packages": [],
        "missing_group": False,
        "missing_user": False,
    }
    at = "; ".join(progress_lines(state))
    return {"facts": facts, "pending": {ROLE: f"wait for steps that go on ({at})"}, "problems": [], "cautions": []}


def packages_left(settings: Dict[str, Any], root: str = "/") -> List[str]:
    """Return the packages that a run left in the folder `discard` when its control side was killed after the steps."""
    folder = settings.get("discard")
    try:
        return sorted(os.listdir(os.path.join(root, folder.lstrip("/")))) if folder else []
    except FileNotFoundError:
        return []


def _pending(
    settings: Dict[str, Any], seen: HdkLook, facts: Dict[str, Any], verdict: Verdict, leftover: List[str]
) -> Dict[str, str]:
    builds = [verdict.build] if verdict.build else []
    if not seen.plan.steps:
        removals = [f"remove {', '.join(leftover)}, left in {settings['discard']}"] if leftover else []
        work = "; ".join([*builds, *removals])
        return {ROLE: work} if work else {}
    preparations = _preparations(settings, facts) if seen.wish.state == PRESENT else []
    return {ROLE: "; ".join([*preparations, *facts["plan"], *builds, str(seen.estimate())])}


def judge_next_kernel(
    settings: Dict[str, Any], run: Run, family: Optional[str], seen: HdkLook, root: str = "/"
) -> Verdict:
    """Return what follows when the kernel that boots next has no module of the driver; nothing when it is to go."""
    if seen.wish.state == ABSENT:
        return Verdict()
    kernel = look_at_next_kernel(run, family, root)
    policy, headers = settings.get("next_kernel", WARN), "present"
    if policy == REBUILD and kernel.release != kernel.running and not kernel.headers:
        packages = [name for name in os_packages(settings, family) if KERNEL in name]
        headers, _ = kernel_headers(run, family, packages, kernel.release, root)
    reboots = any(step.action == REBOOT for step in seen.plan.steps)
    work = Work(installs_driver=DRIVER in seen.components(), reboots=reboots)
    return judge(kernel, policy, work, has_driver=seen.facts.driver.on_disk is not None, headers=headers)


def prepare(
    settings: Dict[str, Any], run: Run, family: Optional[str], seen: HdkLook, root: str = "/"
) -> Dict[str, Any]:
    """Return what the installers need first: OS packages, the run user and its group, and what is in their way."""
    names = for_kernel(os_packages(settings, family), seen.facts.kernel) if DRIVER in seen.components() else []
    missing = missing_packages(run, family, names)
    nowhere = not_installable(run, family, missing, root) or []
    spared = [name for name in nowhere if name in settings.get("optional_packages", [])]
    user, group = settings["user"], settings["group"]
    missing_group, missing_user = _group_id(group) is None, _user_id(user) is None
    problems = _nowhere([name for name in nowhere if name not in spared], seen.facts)
    if missing_group and settings.get("gid") is not None and _group_of(settings["gid"]):
        problems.append(_taken("gid", settings["gid"], _group_of(settings["gid"])))
    if missing_user and settings.get("uid") is not None and _user_of(settings["uid"]):
        problems.append(_taken("uid", settings["uid"], _user_of(settings["uid"])))
    return {
        "missing_packages": [name for name in missing if name not in spared],
        "cautions": [_spared(name, seen.facts.kernel) for name in spared],
        "missing_group": missing_group,
        "missing_user": missing_user,
        "problems": problems,
    }


def _nowhere(names: List[str], facts: HdkFacts) -> List[Problem]:
    """Return the problem of packages that no repository has; headers that are missing altogether are one already."""
    of_kernel = [name for name in names if facts.kernel in name]
    others = [name for name in names if name not in of_kernel]
    found = []
    if of_kernel and facts.headers != "missing":
        found.append(
            Problem(
                check="kernel_headers",
                value=f"no repository of this host has {', '.join(of_kernel)}",
                rule="the installer looks for the packages of the running kernel, and takes those of no other",
                next_step=HEADERS_REMEDIES.format(kernel=facts.kernel),
            )
        )
    if others:
        found.append(
            Problem(
                check="os_packages",
                value=f"no repository of this host has {', '.join(others)}",
                rule="the driver's installer calls what is in them",
                next_step="add a repository that has them, the installation medium for one, or correct"
                " ascend_hdk_os_packages",
            )
        )
    return found


def _spared(name: str, kernel: str) -> Problem:
    return Problem(
        check="os_packages",
        value=f"no repository of this host has {name}",
        rule=f"without it the installer takes its prebuilt modules, and fails if it has none for {kernel}",
        next_step=f"add a repository with {name}, or install the driver anew after each new kernel",
    )


def _preparations(settings: Dict[str, Any], facts: Dict[str, Any]) -> List[str]:
    lines = []
    if facts["missing_packages"]:
        lines.append(f"install {', '.join(facts['missing_packages'])}")
    if facts["missing_group"] or facts["missing_user"]:
        lines.append(f"make the run user {settings['user']}:{settings['group']}")
    return lines


def os_packages(settings: Dict[str, Any], family: Optional[str]) -> List[str]:
    """Return the names of the OS packages for this family, with {kernel} still in them."""
    return list(settings["os_packages"].get(family, []))


def hdk_wish(settings: Dict[str, Any], architecture: str) -> HdkWish:
    """Return what is wanted of a host of this architecture; to uninstall, no package is needed."""
    packages = settings["packages"]
    package: Dict[str, Dict[str, str]] = packages.get(architecture) or next(iter(packages.values()), {})
    return HdkWish(
        state=settings.get("state", PRESENT),
        driver_version=package.get(DRIVER, {}).get("version", ""),
        firmware_version=package.get(FIRMWARE, {}).get("version", ""),
        npu_count=int(settings["npu_count"]),
        bus_device=CHIP_DEVICES[settings["chip"]],
        architectures=tuple(sorted(packages)),
        reboot_policy=settings["reboot"],
        allow_downgrade=bool(settings["allow_downgrade"]),
        can_reboot=bool(settings["can_reboot"]),
        user=settings["user"],
        group=settings["group"],
        foreign=settings.get("foreign", REFUSE),
        durations={kind: int(seconds) for kind, seconds in settings.get("durations", {}).items()},
    )


def _npu_smi_folder(path: str) -> Problem:
    return Problem(
        check="npu_smi_path",
        value=f"{path} is a folder",
        rule="npu-smi is a program; Docker makes such a folder for a mount of what is not there",
        next_step="remove the container that mounts it, then the folder",
    )


def _taken(kind: str, number: int, holder: Optional[str]) -> Problem:
    return Problem(
        check=f"run_user_{kind}",
        value=f"{kind} {number} belongs to {holder}",
        rule=f"ascend_hdk_user_{kind} is {number}",
        next_step=f"set ascend_hdk_user_{kind} to a free number, or leave it empty for the next free one",
    )


def _distinct(versions: Any) -> List[str]:
    return sorted({version or "unknown" for version in versions})


def _user_id(name: str) -> Optional[int]:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _group_id(name: str) -> Optional[int]:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _user_of(uid: int) -> Optional[str]:
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except KeyError:
        return None


def _group_of(gid: int) -> Optional[str]:
    try:
        return grp.getgrgid(int(gid)).gr_name
    except KeyError:
        return None
