# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import List

import yaml

from telechat_runtime.config import Overlay, Setting, overlay
from telechat_runtime.finetune_settings import finetune_settings
from telechat_runtime.finetune_spec import FinetuneSpec

TEXT = """\
load_checkpoint: ''
use_parallel: True
runner_config:
  epochs: 10
  batch_size: 1
lr_schedule:
  learning_rate: 1.5e-4
train_dataset: &train_dataset
  data_loader:
    type: MindDataset
    dataset_dir: ""
train_dataset_task:
  dataset_config: *train_dataset
context:
  device_target: "Ascend"
"""


def lay(*, settings: List[Setting], text: str = TEXT) -> Overlay:
    return overlay(text, settings, [], source="finetune.yaml")


def test_what_a_finetune_sets() -> None:
    spec = FinetuneSpec(
        model="7b", dataset="/data/x", checkpoint="/w/y.ckpt", epochs=3, batch_size=4, learning_rate=1e-05
    )
    result = lay(settings=finetune_settings(spec, {}, device_target="CPU", world_size=1))
    document = yaml.safe_load(result.text)
    assert document["run_mode"] == "finetune"
    assert document["output_dir"] == "./output"
    assert document["use_parallel"] is False
    assert document["load_checkpoint"] == "/w/y.ckpt"
    assert document["context"]["device_target"] == "CPU"
    assert document["runner_config"] == {"epochs": 3, "batch_size": 4}
    assert document["lr_schedule"]["learning_rate"] == 1e-05
    assert document["train_dataset"]["data_loader"]["dataset_dir"] == "/data/x"
    assert "dataset_config: *train_dataset" in result.text


def test_a_copied_dataset_section_gets_the_dataset_too() -> None:
    text = TEXT.replace("*train_dataset", "{data_loader: {dataset_dir: ''}}").replace("&train_dataset", "")
    result = lay(
        text=text, settings=finetune_settings(FinetuneSpec(dataset="/d"), {}, device_target="CPU", world_size=1)
    )
    document = yaml.safe_load(result.text)
    assert document["train_dataset_task"]["dataset_config"]["data_loader"]["dataset_dir"] == "/d"


def test_a_yaml_without_the_dataset_section_gets_no_half_section() -> None:
    result = lay(
        text="seed: 0\n", settings=finetune_settings(FinetuneSpec(dataset="/d"), {}, device_target="CPU", world_size=1)
    )
    assert "train_dataset" not in yaml.safe_load(result.text)
