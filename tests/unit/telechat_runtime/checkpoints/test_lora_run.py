# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import pytest
import yaml

from telechat_runtime.checkpoints.lora_run import gathered_strategy, lora_run
from telechat_runtime.errors import ConfigError, PreflightError, TelechatError
from telechat_runtime.job.state import JobState
from telechat_runtime.remote.answers.checkpoints import JobOutputAnswer

FOLDER = "/var/lib/telechat/jobs/lora-1/work/output"


def config(*, only_trainable: Optional[bool] = False, mode: Any = 1, **pet: Any) -> str:
    saved = {} if only_trainable is None else {"strategy_ckpt_config": {"only_trainable_params": only_trainable}}
    document = {
        "use_parallel": True,
        "parallel": {"parallel_mode": mode, **saved},
        "model": {"model_config": {"pet_config": {"pet_type": "lora", "lora_rank": 8, "lora_alpha": 16, **pet}}},
    }
    return yaml.safe_dump(document)


def output(
    text: Optional[str] = "",
    *,
    state: Optional[str] = "SUCCEEDED",
    strategy: Mapping[str, str] = {"s_rank_0.ckpt": "AA=="},
    checkpoints: Mapping[str, Sequence[int]] = {"checkpoint_network": (0, 1), "checkpoint": (0, 1)},
) -> JobOutputAnswer:
    return JobOutputAnswer(
        state=JobState(state) if state else None,
        config=config() if text == "" else text,
        output=FOLDER,
        strategy=strategy,
        checkpoints=checkpoints,
    )


GONE = output(None, state=None, strategy={}, checkpoints={})


def refusal(kind: type[TelechatError], own: JobOutputAnswer, other: JobOutputAnswer = GONE) -> str:
    with pytest.raises(kind) as caught:
        lora_run("lora-1", "node0", {"node0": own, "node1": other}, None)
    return str(caught.value)


def test_scaling_weights_and_strategy_are_the_runs_own() -> None:
    second = output(
        strategy={"s_rank_0.ckpt": "AA==", "s_rank_8.ckpt": "BB=="}, checkpoints={"checkpoint_network": (2,)}
    )
    run = lora_run("lora-1", "node0", {"node0": output(), "node1": second}, None)
    assert run.scaling == 2
    assert run.checkpoint == f"{FOLDER}/checkpoint_network"
    assert run.strategy == {"s_rank_0.ckpt": "AA==", "s_rank_8.ckpt": "BB=="}
    assert run.elsewhere == (("node1", (2,)),)


def test_what_the_user_says_of_the_scaling_goes_first() -> None:
    assert lora_run("lora-1", "node0", {"node0": output(config(lora_alpha="many"))}, 0.25).scaling == 0.25


@pytest.mark.parametrize("said", [None, True])
def test_a_run_that_saved_trainable_parameters_only_is_refused_with_the_reason(said: Optional[bool]) -> None:
    message = refusal(PreflightError, output(config(only_trainable=said)))
    assert "saved the strategy of its trainable parameters only" in message
    assert ("is not set, which means True" if said is None else "is True") in message
    assert "finetune --method lora" in message


@pytest.mark.parametrize("mode", [0, "data_parallel"])
def test_a_data_parallel_run_has_whole_checkpoints_and_needs_no_strategy(mode: Any) -> None:
    own = output(config(mode=mode, only_trainable=None), strategy={}, checkpoints={"checkpoint": (0, 1)})
    run = lora_run("lora-1", "node0", {"node0": own}, None)
    assert run.strategy is None
    assert run.checkpoint == f"{FOLDER}/checkpoint"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (output(state="RUNNING"), "job lora-1 is RUNNING; its checkpoints are still being written"),
        (output(None), "work/config.yaml of job lora-1 can't be read"),
        (output(checkpoints={}), f"{FOLDER} holds no checkpoint of job lora-1"),
        (output(strategy={}), f"left no strategy files in {FOLDER}/strategy"),
        (GONE, "no job lora-1 on node0, node1"),
    ],
)
def test_runs_that_can_not_be_merged(own: JobOutputAnswer, message: str) -> None:
    assert message in refusal(PreflightError, own)


def test_a_job_that_ran_on_another_node() -> None:
    assert "node0: it was not a node of job lora-1" in refusal(PreflightError, GONE, output())


def test_a_full_finetune_and_a_scaling_that_the_yaml_lacks() -> None:
    assert "it was no LoRA run" in refusal(ConfigError, output("use_parallel: False\n"))
    assert "give it with --lora-scaling" in refusal(ConfigError, output(config(lora_rank=0)))


def test_strategies_of_equal_content_are_taken_once() -> None:
    same = {"node0": output(strategy={"a_rank_0.ckpt": "AA=="}), "node1": output(strategy={"a_rank_8.ckpt": "AA=="})}
    assert gathered_strategy("j", same) == {"a_rank_0.ckpt": "AA=="}
