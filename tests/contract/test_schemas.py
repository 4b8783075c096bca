# SPDX-License-Identifier: Apache-2.0
"""docs/schemas/ against what commands, nodes and playbooks really write: nothing is missing there, and nothing wrong.

The published schemas allow fields that they do not name; the documents of this release may have none of those.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import pytest
from ansible.module_utils import node_upgrade
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from telechat_runtime.ascend import service_file
from telechat_runtime.job import schemas
from telechat_runtime.job.failure import FailureKind
from telechat_runtime.job.report import Attempt, Report
from telechat_runtime.job.state import JobState
from telechat_runtime.upgrade import history, record, report
from telechat_runtime.upgrade.jobs import AFTERWARDS, resume_jobs, stop_jobs
from telechat_runtime.upgrade.plan import BATCH, CANARY, INTERRUPTED, Settings
from tests.contract.test_job_on_this_machine import TREE_PROGRAM, Machine
from tests.contract.test_job_over_ssh import Cluster, cluster
from tests.support.local_node import wait_until
from tests.support.simulated_campaign import Campaign, Node
from tests.support.this_machine import write_inventory
from tests.support.upgrade_events import CAMPAIGN, NEW, OLD, RELEASE
from tests.support.upgrade_telechat_run import StandIn

__all__ = ["cluster"]
FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
WRITTEN_BY_0_1 = Path(__file__).parent / "written_by_0_1"
SCHEMAS: Dict[str, Any] = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.schema.json")}
DEFINITIONS = SCHEMAS["definitions.schema.json"]["$defs"]
NUMBERS = {
    "plan": schemas.PLAN,
    "node-plan": schemas.NODE_PLAN,
    "record": schemas.RECORD,
    "state": schemas.STATE,
    "report": schemas.REPORT,
    "status": schemas.STATUS,
    "show": schemas.SHOW,
    "node-upgrade": service_file.UPGRADE_SCHEMA,
    "upgrade-event": record.EVENT_SCHEMA,
    "upgrade-report": report.SCHEMA,
}
ON_A_NODE = {"node-plan": "plan.json", "record": "record.json", "state": "state.json"}
END = 'if "SIGNAL" in os.environ:\n    os.kill(os.getpid(), int(os.environ["SIGNAL"]))\n'
Documents = Sequence[Tuple[str, Dict[str, Any]]]


def parts(schema: Any) -> Iterator[Dict[str, Any]]:
    """Yield a schema and all schemas in it."""
    if isinstance(schema, dict):
        yield schema
    for value in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(value)


def closed(schema: Any) -> Any:
    """Return a schema that allows no field beside those that it names."""
    schema = copy.deepcopy(schema)
    for part in parts(schema):
        if part.get("type") == "object" and "additionalProperties" not in part:
            part["unevaluatedProperties"] = False
    return schema


def problems_of(kind: str, document: Any, form: Callable[[Any], Any] = closed) -> List[str]:
    resources = [(name, Resource.from_contents(form(schema))) for name, schema in SCHEMAS.items()]
    validator = Draft202012Validator(
        form(SCHEMAS[f"{kind}.schema.json"]), registry=Registry().with_resources(resources)
    )
    return [f"{kind} {error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def as_published(schema: Any) -> Any:
    return schema


def assert_described(documents: Documents) -> None:
    """See that documents of this release are as the schemas say, and that these notice what is missing."""
    for kind, document in documents:
        assert document["schema"] == NUMBERS[kind]
        assert problems_of(kind, document) == []
        for name in SCHEMAS[f"{kind}.schema.json"]["required"]:
            less = {key: value for key, value in document.items() if key != name}
            assert problems_of(kind, less, as_published), f"{kind} without {name}"
        assert problems_of(kind, {**document, "schema": NUMBERS[kind] + 1}, as_published)
        assert problems_of(kind, {**document, "later": 1}, as_published) == []


def test_each_schema_is_valid_and_has_the_number_that_the_code_writes() -> None:
    assert {f"{kind}.schema.json" for kind in NUMBERS} == set(SCHEMAS) - {"definitions.schema.json"}
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
    numbers = {kind: SCHEMAS[f"{kind}.schema.json"]["properties"]["schema"]["const"] for kind in NUMBERS}
    assert numbers == NUMBERS


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_field_is_described(name: str) -> None:
    for part in parts(SCHEMAS[name]):
        for field, schema in part.get("properties", {}).items() if "type" in part else ():
            described = {**DEFINITIONS.get(schema.get("$ref", "").rpartition("/")[2], {}), **schema}
            assert described.get("description") or "const" in schema or "$ref" in schema, f"{name}: {field}"


def test_the_values_are_those_of_the_code() -> None:
    assert DEFINITIONS["failure"]["anyOf"][0]["properties"]["kind"]["enum"] == [str(kind) for kind in FailureKind]
    assert DEFINITIONS["job_state"]["enum"] == [str(state) for state in JobState]
    assert SCHEMAS["state.schema.json"]["properties"]["state"]["enum"] == [
        str(state) for state in JobState if state is not JobState.LOST
    ]
    ends = (service_file.DONE, service_file.FAILED, service_file.ROLLED_BACK)
    assert DEFINITIONS["upgrade_state"]["enum"] == [service_file.REQUIRED, *service_file.ACTIVE, *ends]
    outcomes = (history.PLANNED, history.IN_PROGRESS, history.SKIPPED, history.REFUSED)
    assert set(DEFINITIONS["upgrade_outcome"]["enum"]) == {*history.GOOD, *history.FAILURES, *outcomes}
    assert set(DEFINITIONS["wave_kind"]["enum"]) == {CANARY, BATCH, INTERRUPTED}


def test_the_table_names_each_schema() -> None:
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in SCHEMAS if f"]({name})" not in table] == []


def of_a_node(folder: Path) -> List[Tuple[str, Dict[str, Any]]]:
    return [(kind, json.loads((folder / name).read_text())) for kind, name in ON_A_NODE.items()]


def test_a_job_from_plan_to_record(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "data" / "rows.mindrecord").write_bytes(b"x")
    plan = json.loads(machine.run(machine.finetune("--dry-run", "--json", "--set", "+seed=1")).stdout)
    done = machine.run(machine.finetune("--json", "--set", "+seed=1", "--env", "OBS_TOKEN=s3cret"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    shown = json.loads(machine.run(machine.command("show", "--json", told["job_id"])).stdout)
    documents = [("plan", plan), ("report", told), ("show", shown), *of_a_node(machine.jobs / told["job_id"])]
    assert documents[-1][1]["state"] == "SUCCEEDED"
    assert_described(documents)


def test_jobs_that_fail(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "tree" / "run_mindformer.py").write_text(TREE_PROGRAM + END)
    ends = []
    for env in ({"FAIL_AT": "2"}, {"SIGNAL": "9"}):
        machine.write_inventory(**env)
        told = json.loads(machine.run(machine.finetune("--json")).stdout)
        attached = json.loads(machine.run(machine.command("attach", "--json", told["job_id"])).stdout)
        on_node = of_a_node(machine.jobs / told["job_id"])
        ends.append((on_node[-1][1]["failure"]["kind"], bool(told["known_error"])))
        assert_described([("report", told), ("report", attached), *on_node])
    assert ends == [("worker_exit", False), ("worker_signal", True)]
    assert_described([("status", machine.status())])


def test_a_job_that_runs_and_is_stopped(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write_inventory(UNTIL=str(tmp_path / "end"))
    job_id = json.loads(machine.run(machine.finetune("--json", "--detach")).stdout)["job_id"]
    state = machine.jobs / job_id / "state.json"
    wait_until(lambda: json.loads(state.read_text())["processes"])
    running, status = json.loads(state.read_text()), machine.status()
    shown = json.loads(machine.run(machine.command("show", "--json", job_id)).stdout)
    assert machine.run(machine.command("stop", job_id)).returncode == 0
    stopped = json.loads(state.read_text())
    assert (running["state"], status["nodes"]["here"]["lease"]["job_id"], stopped["state"]) == (
        "RUNNING",
        job_id,
        "STOPPED",
    )
    assert stopped["failure"]["kind"] == "stopped_by_user"
    assert_described([("state", running), ("status", status), ("show", shown), ("state", stopped)])


def test_a_status_of_a_node_that_can_t_be_asked(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    write_inventory(tmp_path, telechat_runtime_path=str(tmp_path / "missing"))
    status = machine.status()
    assert status["nodes"]["here"]["error"]
    assert_described([("status", status)])


@pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")
def test_a_job_on_two_nodes(cluster: Cluster) -> None:
    plan = json.loads(cluster.finetune("--dry-run", "--json").stdout)
    assert plan["nodes"][1]["peers"]["names"] == ["node0", "node1"]
    told = json.loads(cluster.finetune("--json", FAILING_RANK="2", LINGER="100").stdout)
    on_nodes = [of_a_node(cluster.folder / f"root{index}" / "jobs" / told["job_id"]) for index in (0, 1)]
    assert on_nodes[0][-1][1]["failure"] == {**on_nodes[0][-1][1]["failure"], "kind": "peer", "node": "node1"}
    shown = json.loads(cluster.run("show", "--json", told["job_id"]).stdout)
    status = json.loads(cluster.run("status", "--json").stdout)
    assert_described(
        [("plan", plan), ("report", told), ("show", shown), ("status", status), *on_nodes[0], *on_nodes[1]]
    )


def test_a_report_with_restarts() -> None:
    told = Report(
        job_id="a-2",
        folder="/jobs/a-2",
        seconds=1.0,
        interrupted=False,
        nodes=(),
        first_failure=None,
        first_step=None,
        last_step=None,
        speed=None,
        attempts=(Attempt("a-1", "node0: rank 1 was killed by SIGKILL", 7),),
    )
    assert_described([("report", told.as_dict())])


class RealRecord(record.Record):
    """The record of a campaign on the disk, which a simulated campaign asks for its history."""

    so_far = property(record.Record.history)


class RecordedCampaign(Campaign):
    """A simulated campaign whose record is a real one."""

    def __init__(self, folder: Path, nodes: Sequence[Node], settings: Settings) -> None:
        super().__init__(nodes, settings)
        self.record: Any = RealRecord(folder / CAMPAIGN)
        self.record.folder.mkdir()

    def _rescue(self, node: Node, *, is_first: bool) -> bool:
        del is_first
        self._step(node, "failed", reason="it failed", logs="/logs")
        return True


def test_the_record_of_an_upgrade(tmp_path: Path) -> None:
    fates = ("good", "good", "bad", "good", "unfit", "good")
    nodes = [Node(f"n{number}", fate) for number, fate in enumerate(fates)]
    nodes[3].upgraded, nodes[5].ill = True, True
    settings = Settings(canaries=("n0",), max_unavailable=4, max_fail_percentage=50)
    campaign = RecordedCampaign(tmp_path, nodes, settings)
    campaign.run(kill=(12, 0))
    assert campaign.was_killed
    path = campaign.record.folder / "report.json"
    running = json.loads(path.read_text())
    campaign.run()
    commands = StandIn(tmp_path).commands
    stop_jobs(["job-1"], campaign.record, commands, resume=AFTERWARDS, seconds=1)
    resume_jobs(campaign.record, commands, last=True)
    campaign.record.write_report()
    finished = json.loads(path.read_text())
    events = campaign.record.events()
    assert {event["event"] for event in events} == set(history._HANDLERS)
    outcomes = {host["outcome"] for host in finished["hosts"]}
    assert {"done", "failed", "nothing to do", "refused"} <= outcomes
    assert (running["state"], finished["state"]) == ("running", "finished")
    assert_described([*(("upgrade-event", event) for event in events)])
    assert_described([("upgrade-report", running), ("upgrade-report", finished)])


def test_an_upgrade_that_was_stopped(tmp_path: Path) -> None:
    campaign = RecordedCampaign(tmp_path, [Node("n0", "bad"), Node("n1")], Settings(max_unavailable=1))
    campaign.run()
    told = json.loads((campaign.record.folder / "report.json").read_text())
    assert told["state"] == "stopped"
    assert_described([("upgrade-event", campaign.record.events()[-1]), ("upgrade-report", told)])


def test_how_far_an_upgrade_is_with_a_server(tmp_path: Path) -> None:
    path = tmp_path / service_file.UPGRADE_RECORD[1:]
    node = node_upgrade.NodeUpgrade("/jobs", str(tmp_path))
    ours = node_upgrade.Campaign(CAMPAIGN, "lin@ops1", RELEASE)
    back = node_upgrade.Campaign("rollback-1", "lin@ops1", node_upgrade.ROLLBACK)
    steps: List[Callable[[], object]] = [
        lambda: node.require(ours, OLD),
        lambda: node.drain(ours, OLD, take_over=False),
        lambda: node.begin_work(ours),
        lambda: node.advance(ours, service_file.REBOOTING),
        lambda: node.finish(ours, service_file.FAILED, "a chip is ill"),
        lambda: node.drain(back, NEW, take_over=False),
        lambda: node.finish(back, service_file.ROLLED_BACK),
    ]
    for step in steps:
        step()
        assert_described([("node-upgrade", json.loads(path.read_text()))])
    assert json.loads(path.read_text())["to"] == OLD


def documents_of_0_1() -> Iterator[Tuple[str, Dict[str, Any]]]:
    places = {
        "node-plan": "root*/jobs/*/plan.json",
        "record": "root*/jobs/*/record.json",
        "state": "root*/jobs/*/state.json",
        "report": "shown/finetune*.json",
        "show": "shown/show-*.json",
        "status": "shown/status.json",
        "node-upgrade": "servers/*/etc/telechat/upgrade.json",
        "upgrade-report": "upgrades/*/report.json",
    }
    for kind, pattern in places.items():
        found = [json.loads(path.read_text()) for path in WRITTEN_BY_0_1.glob(pattern)]
        assert found, pattern
        yield from ((kind, document) for document in found)
    for path in WRITTEN_BY_0_1.glob("upgrades/*/events.jsonl"):
        yield from (("upgrade-event", json.loads(line)) for line in path.read_text().splitlines())


def test_the_schemas_describe_what_0_1_wrote_too() -> None:
    for kind, document in documents_of_0_1():
        assert problems_of(kind, document) == []
        assert ("schema" in document) == (kind == "upgrade-report")
