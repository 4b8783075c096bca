# SPDX-License-Identifier: Apache-2.0
"""The entry program refuses bad input in one line, before it imports MindFormers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from telechat_runtime.node.programs import run_mindformer

GOOD = "run_mode: finetune\ntrain_dataset: {data_loader: {dataset_dir: ''}}\nload_checkpoint: ''\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


def refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run the program, which has to refuse its input, and return its one line."""
    assert run_mindformer.main(list(argv)) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("run_mindformer.py: error: ")
    return lines[0]


def test_a_missing_yaml_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.yaml"
    assert f"{path}: No such file or directory" in refusal(capsys, "--config", str(path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a: [1\n", "is no yaml"), ("- a\n", "holds a list"), ("", "holds a NoneType"), ("a: \xe9\n", "is no yaml")],
)
def test_what_is_no_yaml_mapping_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    config.write_text(text, encoding="latin-1")
    assert reason in refusal(capsys, "--config", str(config))


def test_a_name_that_mindformers_would_ignore_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.txt"
    path.write_text(GOOD)
    assert "ends in .yaml" in refusal(capsys, "--config", str(path))


@pytest.mark.parametrize("mode", ["predict", "", "[train]"])
def test_a_yaml_that_does_not_train_is_refused(config: Path, capsys: pytest.CaptureFixture[str], mode: str) -> None:
    config.write_text(f"run_mode: {mode}\n")
    assert "run_mode: train or finetune" in refusal(capsys, "--config", str(config))


@pytest.mark.parametrize("option", ["--train_dataset_dir", "--load_checkpoint", "--src_strategy_path_or_dir"])
def test_a_missing_input_is_named_with_its_key(config: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    line = refusal(capsys, "--config", str(config), option, "/nowhere/input")
    assert "/nowhere/input is missing on " in line


def test_a_missing_input_of_the_yaml_is_found_too(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(GOOD.replace("load_checkpoint: ''", "load_checkpoint: /nowhere/a.ckpt"))
    assert "load_checkpoint: /nowhere/a.ckpt is missing" in refusal(capsys, "--config", str(config))


def test_an_option_for_a_section_that_is_no_mapping_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(GOOD + "runner_config: 3\n")
    assert "runner_config is no mapping" in refusal(capsys, "--config", str(config), "--epochs", "2")


def test_options_set_the_keys_of_the_yaml() -> None:
    options = run_mindformer.parse_options(
        [
            *("--config", "c.yaml", "--run_mode", "train", "--train_dataset_dir", "/d", "--load_checkpoint", "/c"),
            *("--use_parallel", "False", "--output_dir", "./o", "--device_target", "CPU"),
            *("--epochs", "2", "--batch_size", "4", "--seed", "0"),
        ]
    )
    document = {"runner_config": {"sink_mode": False}, "use_parallel": True}
    run_mindformer.override(document, options)
    assert document == {
        "run_mode": "train",
        "train_dataset": {"data_loader": {"dataset_dir": "/d"}},
        "load_checkpoint": "/c",
        "use_parallel": False,
        "output_dir": "./o",
        "context": {"device_target": "CPU"},
        "runner_config": {"sink_mode": False, "epochs": 2, "batch_size": 4},
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [("--use_parallel", "maybe"), ("--epochs", "0"), ("--batch_size", "1.5"), ("--seed", "-1"), ("--run_mode", "eval")],
)
def test_wrong_values_are_a_usage_error(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run_mindformer.parse_options(["--config", "c.yaml", option, value])
    assert caught.value.code == 2
    assert value in capsys.readouterr().err


def test_options_are_not_abbreviated() -> None:
    with pytest.raises(SystemExit):
        run_mindformer.parse_options(["--config", "c.yaml", "--epoch", "2"])


def test_an_interpreter_without_mindformers_is_told_so(config: Path) -> None:
    """A copy of the file, alone in a folder, as a job has it."""
    script = Path(shutil.copy(run_mindformer.__file__, config.parent / "run_mindformer.py"))
    (config.parent / "mindformers.py").write_text("raise ModuleNotFoundError(name='mindspore')\n")
    result = subprocess.run(
        [sys.executable, str(script), "--config", str(config)], text=True, capture_output=True, check=False
    )
    assert result.returncode == 3
    assert result.stderr == (
        f"run_mindformer.py: error: {sys.executable} has no mindspore: MindSpore and MindFormers are needed\n"
    )
