# SPDX-License-Identifier: Apache-2.0
"""The tiny config has every key that a job sets, and fits the data that is made for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.workload import dataset

CONFIG = Path(__file__).parents[4] / "lab" / "workload" / "finetune_tiny.yaml"


@pytest.fixture
def config() -> Any:
    return yaml.safe_load(CONFIG.read_text())


@pytest.mark.parametrize(
    "key",
    [
        "run_mode",
        "use_parallel",
        "context.device_target",
        "train_dataset.data_loader.dataset_dir",
        "load_checkpoint",
        "output_dir",
        "runner_config.epochs",
        "runner_config.batch_size",
        "lr_schedule.learning_rate",
    ],
)
def test_a_job_finds_the_key_that_it_sets(config: Any, key: str) -> None:
    for part in key.split("."):
        assert part in config
        config = config[part]


def test_the_model_fits_the_data(config: Any) -> None:
    model = config["model"]["model_config"]
    assert model["vocab_size"] == dataset.VOCABULARY
    assert (model["bos_token_id"], model["eos_token_id"], model["pad_token_id"]) == (
        dataset.START,
        dataset.END,
        dataset.PAD,
    )
    assert isinstance(config["lr_schedule"]["learning_rate"], float)
