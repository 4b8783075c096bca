# SPDX-License-Identifier: Apache-2.0
"""Whole campaigns on simulated nodes: the real planner, history and action plugins, and a control side that is killed.

Made up are the nodes (as plugins/module_utils/node_upgrade.py has them), Ansible's way through the tasks of
roles/fleet_upgrade, and the record's file. Whenever one of them changes, the record is compared with the truth.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from ansible.errors import AnsibleConnectionFailure

from telechat_runtime.upgrade.history import DONE, FAILURES, Event, History, add_event, history_of
from telechat_runtime.upgrade.plan import Settings
from tests.support.upgrade_events import CAMPAIGN, OLD, RELEASE

_PLUGINS = Path(__file__).parents[2] / "plugins" / "action"
_CHANGING = ("upgrading", "rebooting", "validating")
_ENDS = {"done": "done", "rolled-back": "rolled-back", "give-back": "upgrade-required", "failed": "failed"}

Moment = Callable[[], None]


def _plugin(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"simulated_{name}", _PLUGINS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_fleet_upgrade, _node_upgrade = _plugin("fleet_upgrade"), _plugin("node_upgrade")


class Killed(Exception):  # noqa: N818 - no error
    """The control side is killed at this moment."""


class UpgradeFailed(Exception):  # noqa: N818 - the role rescues it
    """A task of the upgrade failed on a node."""


@dataclass
class Node:
    """A server; `fate` is what becomes of an upgrade there, `service` the kind of reason why it is out."""

    name: str
    fate: str = "good"
    job: Optional[str] = None
    upgraded: bool = False
    ill: bool = False
    reachable: bool = True
    service: Optional[str] = None
    state: str = ""
    run: str = ""
    untouched: bool = True

    @property
    def is_out(self) -> bool:
        return self.service is not None or not self.reachable

    def problems(self) -> List[Dict[str, str]]:
        found = {"unreachable": not self.reachable, "disk": self.ill, "job lease": self.job is not None}
        return [{"check": name, "value": "", "rule": "", "next_step": ""} for name, is_so in found.items() if is_so]

    def look(self) -> Dict[str, Any]:
        """Return what `ascend_info` says of it."""
        if not self.reachable:
            return {}
        pending = {} if self.upgraded else {"ascend_hdk": "upgrade"}
        return {"preflight_look": {"pending": pending, "facts": {"node": self.answer()}}}

    def answer(self) -> Dict[str, Any]:
        record = {"run": self.run, "state": self.state, "operator": "", "since": "", "reason": "", "from": OLD}
        service = {"kind": self.service, "reason": "", "by": "", "since": ""}
        return {
            "upgrade": record if self.state else None,
            "service": service if self.service else None,
            "job": self.job,
        }

    def take(self, step: str, moment: Moment) -> Dict[str, Any]:
        """Take a step of `node_upgrade`; it may be cut off at each moment."""
        self.reachable = self.reachable and not (step == "drain" and self.fate == "gone")
        if not self.reachable:
            raise AnsibleConnectionFailure(self.name)
        if step == "drain":
            self.untouched = self.state not in _CHANGING
            self._take_out()
            moment()
            self.run, self.state = CAMPAIGN, "draining" if self.untouched else self.state
            moment()
        if step in ("drain", "wait"):
            if self.job is None and self.untouched:
                self.state = "upgrading"
            return {"untouched": self.untouched, **self.answer()}
        if step != "require":
            self.state = _ENDS.get(step, step)
        elif self.state not in ("draining", *_CHANGING):
            self.run, self.state = CAMPAIGN, "upgrade-required"
        moment()
        if step == "failed":
            self._take_out()
        elif step in _ENDS and self.service == "upgrade":
            self.service = None
        return self.answer()

    def _take_out(self) -> None:
        self.service = self.service or "upgrade"


class MemoryRecord:
    """A record as the plugins use it; the control side may be killed before and after each event.

    `so_far` is the history of its events for those who look at every moment and change nothing in it.
    """

    folder = "/upgrades/record"
    campaign = CAMPAIGN

    def __init__(self, moment: Moment, judge: Callable[[str, Dict[str, Any]], None]) -> None:
        self._events: List[Event] = []
        self.so_far = History()
        self._moment, self._judge = moment, judge

    def add(self, event: str, **values: Any) -> None:
        self._moment()
        self._judge(event, values)
        written = {"at": str(len(self._events)), "event": event, **json.loads(json.dumps(values))}
        self._events.append(written)
        add_event(self.so_far, written)
        self._moment()

    def events(self) -> List[Event]:
        return list(self._events)

    def history(self) -> History:
        return history_of(self._events)

    def write_report(self) -> str:
        return "report.html"


class Campaign:
    """A campaign on a fleet; `run` is one start of the playbook, which is killed at a moment if one is given."""

    def __init__(
        self,
        nodes: Sequence[Node],
        settings: Settings,  # with max_unavailable as a number
        *,
        ending_jobs: Sequence[str] = (),
        take_over: bool = False,
        rollback_canary: bool = False,
    ) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.settings = settings
        self.out_before = {node.name for node in nodes if node.service == "upgrade"}
        self.ending_jobs, self.take_over, self.rollback_canary = ending_jobs, take_over, rollback_canary
        self.record = MemoryRecord(self._moment, self._judge)
        # Hosts that came to be out by themselves since the last look, whether any ever did, and how many were out then.
        self.unseen = self._out()
        self.disturbed = False
        self.most_allowed = max(int(settings.max_unavailable), len(self.unseen))
        # Nodes that were cut off in the middle of a step.
        self.cut_off: Set[str] = set()
        self.most_out = 0
        self.was_killed = False
        self._moments: Optional[int] = None
        self._others = 0

    @property
    def has_ended(self) -> bool:
        return self.record.so_far.ended is not None

    def run(self, kill: Optional[Tuple[int, int]] = None) -> None:
        """Run the playbook once. `kill` says after how many moments it dies, and how many each other fork lives on."""
        _fleet_upgrade.take_control = lambda *_: None  # type: ignore[attr-defined]
        _fleet_upgrade.open_record = lambda *_: self.record  # type: ignore[attr-defined]
        for plugin in (_fleet_upgrade, _node_upgrade):
            plugin.Record = lambda _: self.record  # type: ignore[attr-defined]
        self._moments, self._others = kill or (None, 0)
        self.was_killed = False
        try:
            self._play()
        except Killed:
            self.was_killed = True
        finally:
            self._moments = None
        self._compare()

    def disturb(self, name: str, what: str) -> None:
        """Let something happen to a node that the campaign has no part in."""
        node = self.nodes[name]
        was_out = node.is_out
        if what == "silent":
            node.reachable = False
        elif what == "answers":
            node.reachable, node.fate = True, "good"
        elif what == "maintenance" and node.service is None:
            node.service = "maintenance"
        elif what == "in service" and node.service == "maintenance":
            node.service = None
        elif what == "job ends":
            self._end_job(node.job)
        self.disturbed = self.disturbed or node.is_out != was_out
        if node.is_out and not was_out:
            self.unseen.add(name)
        self.most_allowed = max(int(self.settings.max_unavailable), len(self._out()))

    # Ansible's way through the playbook.

    def _play(self) -> None:
        problems = {name: node.problems() for name, node in self.nodes.items()}
        plan = self._fleet(
            "plan",
            hosts=list(self.nodes),
            release=RELEASE,
            folder="",
            settings=json.loads(json.dumps(vars(self.settings))),
            problems=problems,
            take_over=self.take_over,
            scheduler=(),
        )
        self._each(plan["hosts"], self._require)
        for hosts in _batches(plan["hosts"], plan["serial"]):
            wave = self._fleet("wave", record=self.record.folder, hosts=hosts, jobs={})
            if wave["stop"]:
                break
            self._wave(hosts, is_first=wave["is_first"])
            if not any(self.nodes[name].reachable for name in hosts):
                # Ansible ends the whole playbook when it has lost a whole batch.
                return
        self._fleet("end", record=self.record.folder, jobs={})

    def _wave(self, hosts: Sequence[str], *, is_first: bool) -> None:
        for task in (self._drain, self._wait, self._upgrade, self._validate):
            failed: List[str] = []
            hosts = self._each(hosts, task, failed)
            self._each(failed, lambda node: self._rescue(node, is_first=is_first))

    def _each(
        self, names: Sequence[str], task: Callable[[Node], bool], failed: Optional[List[str]] = None
    ) -> List[str]:
        """Run a task on each host; return those that go on. When it is killed, each host gets as far as it may."""
        left = []
        killed = False
        for name in names:
            try:
                if task(self.nodes[name]):
                    left.append(name)
            except UpgradeFailed:
                assert failed is not None
                failed.append(name)
            except AnsibleConnectionFailure:
                pass
            except Killed:
                killed, self._moments = True, self._others
        if killed:
            raise Killed
        return left

    def _require(self, node: Node) -> bool:
        self._take(node, "require")
        return True

    def _drain(self, node: Node) -> bool:
        self._step(node, "drain", take_over=self.take_over)
        return True

    def _wait(self, node: Node) -> bool:
        if node.job in self.ending_jobs and self.settings.drain != "skip":
            self._end_job(node.job)
        if node.state == "draining" and self._step(node, "wait", timeout=0)["job"]:
            self._step(node, "give-back", reason="its job still ran")
            return False
        return True

    def _upgrade(self, node: Node) -> bool:
        if node.fate == "unfit" and node.untouched:
            self._step(node, "give-back", reason="unfit", outcome="refused")
            return False
        if not node.upgraded:
            self._step(node, "rebooting")
            if node.fate == "lost":
                node.reachable = False
                self._truth_changes()
                raise AnsibleConnectionFailure(node.name)
            if node.fate != "good":
                raise UpgradeFailed
            node.upgraded = True
            self._moment()
        return True

    def _validate(self, node: Node) -> bool:
        self._step(node, "validating")
        self._step(node, "done", after=OLD)
        return True

    def _rescue(self, node: Node, *, is_first: bool) -> bool:
        if is_first and self.rollback_canary:
            self._step(node, "rolled-back", reason="it failed")
        else:
            self._step(node, "failed", reason="it failed")
        return True

    def _fleet(self, step: str, **arguments: Any) -> Dict[str, Any]:
        action = _action(_fleet_upgrade, step=step, **arguments)
        action._commands = lambda **_: None
        hostvars = {name: node.look() for name, node in self.nodes.items()}
        return dict(action.run(task_vars={"hostvars": hostvars}))

    def _step(self, node: Node, step: str, **arguments: Any) -> Dict[str, Any]:
        action = _action(_node_upgrade, step=step, record=self.record.folder, **arguments)
        action._ask = lambda asked: self._take(node, asked["step"])
        result = dict(action.run(task_vars={"inventory_hostname": node.name}))
        self._truth_changes()
        return result

    def _take(self, node: Node, step: str) -> Dict[str, Any]:
        if step in ("require", "drain"):
            assert (node.run, node.state) not in ((CAMPAIGN, "failed"), (CAMPAIGN, "rolled-back")), "it has failed here"
        try:
            return node.take(step, self._truth_changes)
        except Killed:
            self.cut_off.add(node.name)
            raise

    def _end_job(self, job: Optional[str]) -> None:
        for node in self.nodes.values():
            if job and node.job == job:
                node.job = None

    # What has to be so at every moment.

    def _moment(self) -> None:
        if self._moments is not None:
            if self._moments == 0:
                raise Killed
            self._moments -= 1

    def _truth_changes(self) -> None:
        self._compare()
        self._moment()

    def _compare(self) -> None:
        """Compare what the record says with the truth."""
        out = self._out()
        assert len(out) <= self.most_allowed, "the campaign takes out as many as may be"
        assert out - self.unseen <= self.record.so_far.unavailable(), "the record has all that are out"
        self.most_out = max(self.most_out, len(out - self.unseen))

    def _out(self) -> Set[str]:
        return {name for name, node in self.nodes.items() if node.is_out}

    def _judge(self, event: str, values: Dict[str, Any]) -> None:
        """Look at an event that is about to be written."""
        history = self.record.so_far
        if event in ("out", "outcome"):
            ended = [host.name for host in history.hosts.values() if host.outcome in (DONE, *FAILURES)]
            assert values["host"] not in ended, "a host is upgraded once in a campaign"
        elif event == "plan":
            self.unseen = set()
            self._judge_plan(values)
        elif event == "wave":
            self._judge_wave(values, history)
        elif event == "end" and "would be out of service" in values.get("because", ""):
            assert len(history.unavailable()) > history.limits["allowed_unavailable"], "a planned wave has to fit"

    def _judge_plan(self, plan: Dict[str, Any]) -> None:
        """See that hosts of one job go in one wave, however often it was interrupted."""
        waves: Dict[str, Set[int]] = {}
        for wave in plan["waves"]:
            for job in {self.nodes[name].job for name in wave["hosts"]} - {None}:
                waves.setdefault(str(job), set()).add(wave["number"])
        # When others have gone out meanwhile, the rest of an interrupted job may have no room.
        assert self.disturbed or all(len(numbers) == 1 for numbers in waves.values())

    def _judge_wave(self, wave: Dict[str, Any], history: History) -> None:
        first = {name for past in history.waves[:1] for name in past["hosts"]}
        failed = {host.name for host in history.failures}
        if wave["kind"] != "interrupted":
            assert not first & failed, "no wave begins after a canary that failed"
            assert len(failed) <= len(self.nodes) * self.settings.max_fail_percentage // 100
        assert wave["kind"] != "batch" or history.canary_passed
        out = self._out()
        if not set(wave["hosts"]) <= out:
            assert len(out | set(wave["hosts"])) <= int(self.settings.max_unavailable)


def _action(plugin: ModuleType, **arguments: Any) -> Any:
    task = SimpleNamespace(args=arguments, check_mode=False, async_val=0)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
    return plugin.ActionModule(task, connection, None, None, None, None)


def _batches(hosts: Sequence[str], sizes: Sequence[int]) -> Iterator[List[str]]:
    left = list(hosts)
    for size in sizes:
        if left:
            yield left[:size]
        left = left[size:]
