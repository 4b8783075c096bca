# SPDX-License-Identifier: Apache-2.0
"""Plans a fleet upgrade, lets its waves begin or not, and reports: what needs the whole fleet, on the control side.

The decisions are telechat_runtime.upgrade's; this hands it what Ansible knows. Only a run without --check leaves a
record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible import context  # type: ignore[attr-defined] # the stubs beside it are of module_utils alone
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.validation import check_type_list
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from telechat_runtime.errors import PreflightError, TelechatError
from telechat_runtime.job.identity import whoami
from telechat_runtime.upgrade import history as told
from telechat_runtime.upgrade.jobs import JobCommands, resume_jobs, stop_jobs
from telechat_runtime.upgrade.observe import host_look
from telechat_runtime.upgrade.plan import CANARY, CHECKPOINT, HostLook, Settings, UpgradePlan, plan_upgrade
from telechat_runtime.upgrade.plan_text import plan_lines
from telechat_runtime.upgrade.record import Record, open_record, take_control, unfinished
from telechat_runtime.upgrade.smoke import smoke_jobs

_display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        arguments = dict(self._task.args)
        try:
            step: Callable[..., dict[str, Any]] = getattr(self, f"_{arguments.pop('step')}")
            return step(**arguments)
        except TelechatError as error:
            raise AnsibleActionFail(f"{error.message}{f' -> {error.next_step}' if error.next_step else ''}") from error
        except OSError as error:
            raise AnsibleActionFail(f"the record of the upgrade can't be used: {error}") from error

    def _plan(
        self,
        *,
        hosts: list[str],
        release: str,
        folder: str,
        settings: dict[str, Any],
        problems: dict[str, list[dict[str, str]]],
        take_over: bool,
        scheduler: list[list[str]],
    ) -> dict[str, Any]:
        """Plan the waves; begin a record, or go on with the one that has not ended."""
        where = Path(folder).expanduser()
        check = self._task.check_mode
        if not check:
            # The play's own process: this one ends with its task.
            take_control(where, os.getppid())
        written = None if check else open_record(where, release)
        record = unfinished(where, release) if written is None else written
        operator = whoami()
        if written is not None:
            written.add("controller", campaign=written.campaign, release=release, operator=operator)
        looks = self._looks(hosts, problems, record, take_over=take_over)
        if written is not None:
            _note_lost(written, looks)
        history = record.history() if record else told.History()
        plan = plan_upgrade(
            looks,
            settings=Settings(
                **{
                    **settings,
                    **{name: tuple(check_type_list(settings[name])) for name in ("canaries", "order", "waves")},
                }
            ),
            failed=[host.name for host in history.failures],
            waves_before=len(history.waves),
            canary_passed=history.canary_passed,
        )
        if written is not None:
            written.add("plan", **plan.as_dict(), hosts=_found(plan, looks))
            written.write_report()
        return {
            "changed": False,
            "lines": plan_lines(plan, looks, release=release, drain=settings["drain"], scheduler=scheduler),
            "hosts": [name for wave in plan.waves for name in wave.hosts],
            "serial": [len(wave.hosts) for wave in plan.waves] or [1],
            "before": {look.name: dict(look.before) for look in looks},
            "campaign": {"id": record.campaign if record else "", "operator": operator, "release": release},
            "record": str(record.folder) if record else "",
        }

    def _wave(self, *, record: str, hosts: list[str], jobs: dict[str, str]) -> dict[str, Any]:
        """Let the wave of these hosts begin, or say why none does any more."""
        written = Record(Path(record))
        self._note_silent(written, but=hosts)
        lines = resume_jobs(written, self._commands(**jobs), last=False)
        history = written.history()
        plan = next(event for event in reversed(written.events()) if event["event"] == "plan")
        wave = next((wave for wave in plan["waves"] if set(hosts) <= set(wave["hosts"])), None)
        if wave is None:
            raise PreflightError(
                f"{', '.join(hosts)} are no wave of the plan", next_step="run the same command again: it plans anew"
            )
        because = history.stop_reason(wave["kind"]) or _too_many(history, hosts)
        if because:
            written.add("end", because=because)
        else:
            written.add("wave", **wave)
            lines.append(f"wave {wave['number']} ({wave['kind']}): {', '.join(hosts)}")
        written.write_report()
        return {
            "changed": False,
            "stop": bool(because),
            # A canary that was interrupted is one still.
            "is_first": wave["kind"] == CANARY or not history.canary_passed,
            "msg": [*lines, *([f"stopped: {because}"] if because else [])],
        }

    def _drain(
        self, *, record: str, jobs: dict[str, str], mode: str, resume: str, seconds: int, hosts: list[str]
    ) -> dict[str, Any]:
        """Stop the jobs that run on these hosts, each as a whole."""
        jobs_of = (self._vars["hostvars"][host].get("fleet_upgrade_drained", {}).get("job") for host in hosts)
        running = list(dict.fromkeys(filter(None, jobs_of)))
        if not running or mode != CHECKPOINT:
            return {"changed": False, "msg": []}
        lines = stop_jobs(running, Record(Path(record)), self._commands(**jobs), resume=resume, seconds=int(seconds))
        for line in lines:
            _display.display(line)
        return {"changed": True, "msg": lines}

    def _smoke(self, *, hosts: list[str], words: Any, jobs: dict[str, str]) -> dict[str, Any]:
        """Run a job on those of the hosts that are as wanted, two by two; `failed_hosts` is host → why it failed."""
        fit = [host for host in hosts if self._vars["hostvars"][host].get("fleet_upgrade_is_fit")]
        return {"changed": False, "failed_hosts": smoke_jobs(fit, check_type_list(words), self._commands(**jobs))}

    def _end(self, *, record: str, jobs: dict[str, str]) -> dict[str, Any]:
        """End the campaign and write its report; `complete` when every host runs the release and every job goes on."""
        written = Record(Path(record))
        if told.stands_for(written.events()):
            self._note_silent(written, but=())
        lines = resume_jobs(written, self._commands(**jobs), last=True)
        if told.stands_for(written.events()):
            written.add("end")
        page = written.write_report()
        history = written.history()
        verdict, good = told.verdict_lines(history)
        return {
            "changed": False,
            "lines": [*lines, *verdict, f"report: {page}"],
            "complete": good and not history.waiting_jobs(),
            "report": str(page),
        }

    def _looks(
        self, hosts: list[str], problems: dict[str, list[dict[str, str]]], record: Record | None, *, take_over: bool
    ) -> list[HostLook]:
        hostvars = self._vars["hostvars"]
        campaign = record.campaign if record else None
        return [
            host_look(
                host,
                hostvars[host].get("preflight_look", {}),
                problems[host],
                campaign,
                take_over=take_over,
            )
            for host in hosts
        ]

    def _commands(self, *, group: str, python: str) -> JobCommands:
        sources = self._vars["ansible_inventory_sources"]
        return JobCommands(python=python, inventory=tuple(sources), group=group, vault=_vault())

    def _note_silent(self, record: Record, but: Sequence[str]) -> None:
        """Note the hosts that left the play without a word, as Ansible has it with those that give no answer."""
        for name in record.history().in_progress:
            if name not in but:
                record.add("outcome", host=name, outcome=told.LOST, reason="it gives no answer any more")


def _vault() -> tuple[str, ...]:
    """Return the options of this ansible-playbook that open vaults; a password that was typed can't be handed on."""
    options: list[str] = []
    for option, name in (("--vault-id", "vault_ids"), ("--vault-password-file", "vault_password_files")):
        for value in context.CLIARGS.get(name) or ():
            options += [option, value]
    return tuple(options)


def _note_lost(record: Record, looks: Sequence[HostLook]) -> None:
    """Note the hosts that an earlier run left in the middle and that can't go on: they count as failures."""
    found = {look.name: look for look in looks}
    for name in record.history().in_progress:
        if name not in found or found[name].problems:
            reason = "; ".join(found[name].problems) if name in found else "it is not among the hosts of this run"
            record.add("outcome", host=name, outcome=told.FAILED, reason=reason)


def _found(plan: UpgradePlan, looks: Sequence[HostLook]) -> dict[str, dict[str, Any]]:
    """Return what the plan has for each host."""
    found = {}
    for look in looks:
        outcome, reason = told.PLANNED, ""
        if look.name in plan.ready:
            outcome = told.NOTHING_TO_DO
        elif look.name in plan.refused:
            outcome, reason = told.REFUSED, "; ".join(plan.refused[look.name])
        found[look.name] = {
            "outcome": outcome,
            "reason": reason,
            "before": dict(look.before),
            "in_service": look.reachable and look.out is None,
        }
    return found


def _too_many(history: told.History, hosts: Sequence[str]) -> str | None:
    """Say when these hosts may not leave service, as more are out than when the waves were planned."""
    out = history.unavailable()
    leaving = set(hosts) - out
    allowed = history.limits["allowed_unavailable"]
    if leaving and len(out | leaving) > allowed:
        return f"{len(out | leaving)} hosts would be out of service, and {allowed} may be"
    return None
