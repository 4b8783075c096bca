# SPDX-License-Identifier: Apache-2.0
"""When a job is stopped at a checkpoint, when it is left alone, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

import pytest

from telechat_runtime.errors import InterruptedByUserError, PreflightError, SpecError, TelechatError, UnreachableError
from telechat_runtime.fanout import FleetError
from telechat_runtime.finetune import checkpoint_stop as module
from telechat_runtime.finetune.checkpoint_stop import CheckpointStop, Stopping, stop_at_checkpoint
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import Event, Notice
from telechat_runtime.remote.answers.jobs import JobPart
from telechat_runtime.run.status import FleetJob
from telechat_runtime.typed_json import parse
from tests.support.clusters import two_nodes
from tests.support.node_answers import job_part, replay_answer, status_answer, stop_answer
from tests.support.scripted_transport import ScriptedTransport, clients

NODES = two_nodes().nodes
CUT = "parallel: {parallel_mode: 1}\n"
GONE = UnreachableError("node1: can't be reached")
Steps = Union[Mapping[int, str], TelechatError]


@dataclass(frozen=True)
class Scene:
    """What the nodes show until the next wait: by step why a rank's file is not whole, and the job's state."""

    rank0: Steps
    rank1: Steps
    state: str = "RUNNING"


def whole(*numbers: int, torn: Sequence[int] = ()) -> Dict[int, str]:
    return {**dict.fromkeys(numbers, ""), **{number: f"step {number} is cut off" for number in torn}}


def both(*numbers: int, state: str = "RUNNING") -> Scene:
    return Scene(whole(*numbers), whole(*numbers), state)


STOPPED = stop_answer(job_id="week-1")


class Stage:
    """Two nodes of one worker each. The scene changes with every wait, and with the stop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *scenes: Scene, **stopped: Any) -> None:
        self.scenes = list(scenes)
        self.at = 0
        self.clock = 1000.0
        self.waited: List[float] = []
        self.stops: List[str] = []
        self.stopped = stopped
        self.told: List[str] = []
        self.interrupt = Interrupt()
        self.while_waiting: Callable[[], Any] = lambda: None
        self.transports = {node.name: self.transport(rank) for rank, node in enumerate(NODES)}
        monkeypatch.setattr(Interrupt, "wait", lambda _, seconds: self.wait(seconds))
        monkeypatch.setattr(module, "monotonic", lambda: self.clock)

    @property
    def scene(self) -> Scene:
        return self.scenes[min(self.at, len(self.scenes) - 1)]

    def transport(self, rank: int) -> ScriptedTransport:
        name = f"node{rank}"

        def stop(_request: Any) -> Any:
            self.stops.append(f"{name} in scene {self.at}")
            return {**STOPPED, **self.stopped.get(name, {})}

        def saved(_request: Any) -> Any:
            steps = (self.scene.rank0, self.scene.rank1)[rank]
            return steps if isinstance(steps, TelechatError) else answer(rank, steps)

        return ScriptedTransport(
            {
                "record": lambda _: record(rank),
                "status": lambda _: status_answer(self.part()),
                "saved-steps": saved,
                "stop": stop,
            }
        )

    def part(self) -> Dict[str, Any]:
        return job_part("week-1", self.scene.state)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.clock += seconds
        self.at += 1
        self.while_waiting()

    def tell(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.told.append(event.text)

    def run(self, seconds: float = 60, *, kind: str = "finetune", names: Sequence[str] = ("node0", "node1")) -> Any:
        nodes = [node for node in NODES if node.name in names]
        job = FleetJob("week-1", {name: parse(JobPart, {**self.part(), "kind": kind}) for name in names})
        stopping = Stopping(seconds, grace_seconds=3, by="ada@bastion", tell=self.tell)
        return stop_at_checkpoint(job, clients(nodes, self.transports), stopping, self.interrupt)


def record(rank: int) -> Dict[str, Any]:
    return {**replay_answer(rank, job_id="week-1", local_worker_num=1), "outcome": None, "config": CUT}


def answer(rank: int, steps: Mapping[int, str]) -> Dict[str, Any]:
    files = [
        {"file": f"tiny_rank_{rank}-2_{number}.ckpt", "epoch": 2, "step": number, "number": number, "problem": problem}
        for number, problem in steps.items()
    ]
    return {"folder": "/out/checkpoint", "ranks": {str(rank): files}}


def test_it_stops_the_job_when_there_is_a_newer_complete_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    half = Scene(whole(3, 4), whole(3))
    torn = Scene(whole(3, 4), whole(3, torn=[4]))
    stage = Stage(monkeypatch, both(3), both(3), half, torn, both(3, 4), both(3, 4))
    done = stage.run()
    assert sorted(stage.stops) == ["node0 in scene 4", "node1 in scene 4"]
    assert (done.checkpoint, done.is_stopped) == ({"step": 4, "epoch": 2}, True)
    assert done.as_text() == "stopped after the checkpoint of step 4 (epoch 2)"
    assert stage.told == ["waiting up to 60 s for a checkpoint of job week-1 newer than step 3 (epoch 2)"]
    request = {"job_root": "/var/lib/telechat", "grace_seconds": 3, "by": "ada@bastion"}
    assert [asked for command, asked in stage.transports["node1"].asked if command == "stop"] == [request]


def test_the_first_step_of_a_job_is_newer_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(), Scene(whole(torn=[1]), whole()), both(1))
    assert stage.run().checkpoint == {"step": 1, "epoch": 2}
    assert sorted(stage.stops) == ["node0 in scene 2", "node1 in scene 2"]
    assert stage.told == ["waiting up to 60 s for a checkpoint of job week-1"]


def test_what_an_earlier_training_left_in_the_folder_is_not_waited_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    superseded = Scene(whole(10, torn=[90]), whole(10, torn=[90]))
    stage = Stage(monkeypatch, both(90), superseded, both(10), both(10, 11))
    assert stage.run().checkpoint == {"step": 11, "epoch": 2}


@pytest.mark.parametrize(
    ("scene", "problem"),
    [(Scene(whole(3, 4), whole(3, torn=[4])), "passed over: node1, rank 1: step 4 is cut off"), (both(3), "")],
)
def test_when_none_comes_in_time_the_job_is_left_alone(
    scene: Scene, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(monkeypatch, both(3), scene)
    with pytest.raises(PreflightError) as refused:
        stage.run(10)
    assert stage.stops == []
    assert sum(stage.waited) == 10
    first, *rest = refused.value.message.splitlines()
    assert first == (
        "job week-1 has saved no complete checkpoint newer than step 3 (epoch 2) within 10 s "
        "(--checkpoint-timeout): it is not stopped and runs on"
    )
    assert rest == ([problem] if problem else [])
    assert "`telechat-run stop week-1` stops it now" in refused.value.next_step
    assert refused.value.exit_code == 5


def test_a_checkpoint_of_the_last_moment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3), both(3), both(3, 4))
    assert stage.run(4).checkpoint == {"step": 4, "epoch": 2}
    assert stage.waited == [3, 1]


def test_without_patience_the_latest_complete_checkpoint_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, Scene(whole(3, 4), whole(3, torn=[4])))
    assert stage.run(0).as_text() == "stopped after the checkpoint of step 3 (epoch 2)"
    assert (stage.waited, stage.told) == ([], [])


@pytest.mark.parametrize("scene", [both(), Scene(whole(3), whole(torn=[3]))])
def test_without_patience_a_job_that_saved_nothing_complete_is_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(monkeypatch, scene)
    with pytest.raises(PreflightError, match="has saved no complete checkpoint yet") as refused:
        stage.run(0)
    assert (stage.stops, stage.waited) == ([], [])
    assert ("step 3 is cut off" in refused.value.message) == (scene != both())


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "STOPPED"])
@pytest.mark.parametrize("seconds", [0, 60])
def test_a_job_that_ended_by_itself_is_not_said_to_be_stopped(
    state: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = both(3, state=state)
    said = {"state": state, "ended": []}
    scenes = [both(3), both(3), ended] if seconds else [ended]
    done = Stage(monkeypatch, *scenes, node0=said, node1=said).run(seconds)
    assert (done.is_stopped, done.is_lost, done.checkpoint) == (False, False, {"step": 3, "epoch": 2})
    assert done.as_text() == (
        "job week-1 had ended before it was stopped; its latest complete checkpoint is that of step 3 (epoch 2)"
    )
    assert [answer.state for answer in done.result.answers.values()] == [state, state]


def test_a_job_that_ended_without_any_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"state": "STOPPED", "ended": []}
    done = Stage(monkeypatch, both(), both(state="STOPPED"), node0=said, node1=said).run()
    assert (done.checkpoint, done.is_lost) == (None, False)
    assert done.as_text() == "job week-1 had ended before it was stopped; it has none"


def test_a_node_that_has_ended_is_not_yet_the_end_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3), both(3), both(3, 4))
    stage.transports["node0"].answers["status"] = {"lease": None, "jobs": [{**stage.part(), "state": "SUCCEEDED"}]}
    assert stage.run().is_stopped
    assert sorted(stage.stops) == ["node0 in scene 2", "node1 in scene 2"]


def test_a_node_without_an_answer_may_still_run_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3), both(3, state="FAILED"), both(3, 4, state="FAILED"))
    stage.transports["node1"].answers["status"] = GONE
    done = stage.run()
    assert (done.checkpoint, done.is_stopped) == ({"step": 4, "epoch": 2}, True)


def test_a_job_that_fails_between_its_checkpoint_and_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3), both(4), node0={"state": "FAILED"}, node1={"cause": "node0"})
    done = stage.run()
    assert not done.is_stopped
    assert (
        "job week-1 had ended before it was stopped; its latest complete checkpoint is that of step 4" in done.as_text()
    )


@pytest.mark.parametrize(
    ("after", "checkpoint", "is_lost"),
    [
        (both(4, 5), {"step": 5, "epoch": 2}, False),
        (Scene(whole(torn=[5]), whole(5)), None, True),
        (Scene(whole(4), GONE), {"step": 4, "epoch": 2}, False),
    ],
)
def test_what_is_told_is_what_is_there_after_the_stop(
    after: Scene, checkpoint: Optional[Dict[str, int]], *, is_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(monkeypatch, both(4), after)
    stop = stage.transports["node0"].answers["stop"]
    assert callable(stop)

    def stop_and_change(request: Dict[str, Any]) -> Any:
        stage.at += 1
        return stop(request)

    stage.transports["node0"].answers["stop"] = stop_and_change
    done: CheckpointStop = stage.run(0)
    assert (done.is_stopped, done.checkpoint, done.is_lost) == (True, checkpoint, is_lost)


def test_another_kind_of_job_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3))
    with pytest.raises(SpecError, match="job week-1 is a predict: --at-checkpoint is for a finetune"):
        stage.run(kind="predict")
    assert stage.transports["node0"].asked == []


def test_all_nodes_of_the_job_have_to_be_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3, 4))
    with pytest.raises(SpecError, match="job week-1 runs on node1 too") as refused:
        stage.run(0, names=["node0"])
    assert "no --limit" in refused.value.next_step
    assert stage.stops == []


def test_ctrl_c_while_it_waits_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3), both(3, 4))
    stage.while_waiting = stage.interrupt.request
    with pytest.raises(InterruptedByUserError) as interrupted:
        stage.run()
    assert interrupted.value.message == (
        "interrupted while waiting for a checkpoint: nothing was stopped, job week-1 is left as it was"
    )
    assert interrupted.value.exit_code == 130
    assert stage.stops == []


def test_ctrl_c_during_the_look_that_finds_the_checkpoint_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3), both(3, 4))
    look = module._Eyes.look

    def look_and_press(eyes: Any) -> Any:
        found = look(eyes)
        if found.newest.number == 4:
            stage.interrupt.request()
        return found

    monkeypatch.setattr(module._Eyes, "look", look_and_press)
    with pytest.raises(InterruptedByUserError, match="nothing was stopped"):
        stage.run()
    assert stage.stops == []


def test_a_node_that_is_silent_for_a_while_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Scene(whole(3, 4), GONE)
    stage = Stage(monkeypatch, both(3), silent, silent, both(3), both(3, 4))
    assert stage.run().checkpoint == {"step": 4, "epoch": 2}
    assert stage.told[1:] == ["not yet: node1: can't be reached"]
    assert sorted(stage.stops) == ["node0 in scene 4", "node1 in scene 4"]


def test_a_node_that_stays_silent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3), Scene(whole(3, 4), GONE))
    with pytest.raises(PreflightError, match="it is not stopped and runs on\nnode1: can't be reached"):
        stage.run()
    assert stage.stops == []


def test_a_node_that_is_silent_at_first_is_no_ground_to_wait_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, Scene(whole(3), GONE), both(3, 4))
    with pytest.raises(FleetError) as refused:
        stage.run()
    assert refused.value.exit_code == 4
    assert (stage.stops, stage.waited) == ([], [])


def test_slow_looks_are_made_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, both(3), both(3), both(3), both(4))
    look = module._Eyes.look

    def slow_look(eyes: Any) -> Any:
        stage.clock += 20
        return look(eyes)

    monkeypatch.setattr(module._Eyes, "look", slow_look)
    stage.run(300)
    assert stage.waited == [3, 20, 20]
