# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest
import yaml

from telechat_runtime.finetune.settings import finetune_settings
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.training.document import Document, Setting

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


def lay(*, settings: List[Setting], text: str = TEXT) -> Document:
    return Document.load(text, "finetune.yaml").laid(settings)


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


def values_of(spec: FinetuneSpec, **yaml_values: Any) -> Dict[str, Any]:
    settings = finetune_settings(spec, yaml_values, device_target="CPU", world_size=1)
    return {setting.key.rpartition("model_config.")[2]: setting.value for setting in settings}


@pytest.mark.parametrize(
    ("seq_length", "pretrained", "extend_method", "theta"),
    [
        (4096, 8192, "None", None),
        (8192, 8192, "None", None),
        (8192, 4096, "NTK", None),
        (8193, 8192, "NTK", 1_000_000),
        (32768, 8192, "NTK", 1_000_000),
        (32768, 32768, "None", 1_000_000),
        (65536, 8192, "NTK", 40_000_000),
        (262144, 8192, "NTK", 40_000_000),
    ],
)
def test_a_sequence_length_sets_what_the_guide_sets(
    seq_length: int, pretrained: int, extend_method: str, theta: Optional[int]
) -> None:
    found = values_of(FinetuneSpec(seq_length=seq_length, pretrain_seq_length=pretrained))
    assert found["seq_length"] == found["training_seqlen"] == seq_length
    assert found["pretrain_seqlen"] == pretrained
    assert found["extend_method"] == extend_method
    assert found.get("theta") == theta


def test_without_a_sequence_length_the_yamls_stays() -> None:
    assert not {"seq_length", "pretrain_seqlen", "extend_method", "theta"} & set(values_of(FinetuneSpec()))


def test_lora_sets_what_merging_needs_and_keeps_the_yamls_own_numbers() -> None:
    own = {"model": {"model_config": {"pet_config": {"pet_type": "lora", "lora_rank": 64}}}}
    found = values_of(FinetuneSpec(method="lora"), **own)
    assert found["parallel.strategy_ckpt_config.only_trainable_params"] is False
    assert found["pet_config.pet_type"] == "lora"
    assert "pet_config.lora_rank" not in found
    assert found["pet_config.lora_alpha"] == 16
    assert "parallel.strategy_ckpt_config.save_file" not in found


def test_only_lora_touches_lora() -> None:
    for method in ("full", None):
        assert not any("pet_config" in key or "strategy" in key for key in values_of(FinetuneSpec(method=method)))


def test_communication_settings_lie_in_the_jobs_folder() -> None:
    found = values_of(FinetuneSpec(speed_up="{}"))
    assert found["context.ascend_config.parallel_speed_up_json_path"] == "./parallel_speed_up.json"
