# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import pytest
from click.testing import CliRunner

from telechat_runtime.cli import finetune as command
from telechat_runtime.cli.main import cli
from telechat_runtime.errors import SpecError
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.job.options import Override


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> List[FinetuneSpec]:
    """Return the specs that reach the use case, which is not run."""
    specs: List[FinetuneSpec] = []
    at = SimpleNamespace(cluster=None, clients={}, interrupt=None)
    monkeypatch.setattr(command, "plan_finetune", lambda spec, *_rest, **_more: specs.append(spec))
    monkeypatch.setattr(command, "run_job", lambda _request, plan, **_more: plan(at))
    return specs


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, ["finetune", *words])


def test_every_wish_reaches_the_use_case(asked: List[FinetuneSpec], tmp_path: Path) -> None:
    balance = tmp_path / "balance.json"
    balance.write_text('{"a": 1}')
    words = (
        "--model 35b --method lora --dataset /d --checkpoint /w --seq-length 32768 --pretrain-seq-length 4096 --dp 2"
    )
    more = "--mp 4 --pp 2 --cp 1 --ep 1 --micro-batch-num 8 --checkpoint-transform none --epochs 2 --set seed=1"
    result = run(*words.split(), *more.split(), "--flash-attention-load-balance", str(balance))
    assert result.output == ""
    assert asked == [
        FinetuneSpec(
            model="35b",
            method="lora",
            dataset="/d",
            checkpoint="/w",
            overrides=(Override("seed", "1"),),
            epochs=2,
            seq_length=32768,
            pretrain_seq_length=4096,
            dp=2,
            mp=4,
            pp=2,
            cp=1,
            ep=1,
            micro_batch_num=8,
            checkpoint_transform="none",
            speed_up='{"a": 1}',
        )
    ]


def test_without_wishes_nothing_is_asked(asked: List[FinetuneSpec]) -> None:
    run("--model", "7b")
    assert asked == [FinetuneSpec(model="7b")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "qlora"], "'qlora' is not one of"),
        (["--mp", "0"], "0 is not in the range"),
        (["--seq-length", "long"], "'long' is not a valid integer"),
    ],
)
def test_bad_usage(words: List[str], message: str) -> None:
    result = run("--model", "7b", *words)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seq-length", "999999"], "--seq-length 999999 is longer than 262144"),
        (["--checkpoint-transform", "auto"], "has nothing to work on"),
        (["--flash-attention-load-balance", "/nowhere.json"], "'/nowhere.json' can't be read: No such file"),
        (["--flash-attention-load-balance", "/bin/sh"], "it is no UTF-8 text"),
    ],
)
def test_bad_wishes(words: List[str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        CliRunner().invoke(cli, ["finetune", "--model", "7b", *words], catch_exceptions=False)
