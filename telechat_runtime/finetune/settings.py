# SPDX-License-Identifier: Apache-2.0
"""What a finetune sets in its yaml, whatever the yaml says."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Optional

from telechat_runtime.errors import ConfigError
from telechat_runtime.finetune.latest_checkpoint import LINKS, Resume
from telechat_runtime.finetune.spec import FinetuneSpec, theta_of
from telechat_runtime.training.config import DEFAULT_TARGET_MODULES, ONLY_TRAINABLE
from telechat_runtime.training.document import Setting
from telechat_runtime.training.yaml_view import YamlView

SPEED_UP_FILE = "parallel_speed_up.json"
SPEED_UP_KEY = "context.ascend_config.parallel_speed_up_json_path"
_LOADER = "data_loader"
_DATA_LOADER = f"train_dataset.{_LOADER}"
_MODEL = "model.model_config"
_PET = f"{_MODEL}.pet_config"
# As the TeleChat2 guide has them, and the lora yaml of the tree.
_LORA = (
    ("lora_rank", 8),
    ("lora_alpha", 16),
    ("lora_dropout", 0.0),
    ("compute_dtype", "bfloat16"),
    ("param_init_type", "float32"),
    ("target_modules", DEFAULT_TARGET_MODULES),
)


def finetune_settings(
    spec: FinetuneSpec,
    values: Mapping[str, Any],
    *,
    device_target: str,
    world_size: int,
    resume: Optional[Resume] = None,
) -> List[Setting]:
    """Return what a finetune sets, whatever the yaml says; `values` is the yaml as plain data.

    Raises ConfigError when the method asked for contradicts the yaml.
    """
    settings: List[Setting] = [
        Setting("run_mode", "finetune"),
        Setting("context.device_target", device_target),
        Setting("use_parallel", world_size > 1),
        *(_resume(resume, values) if resume else [Setting("output_dir", "./output")]),
    ]
    if spec.dataset:
        # In the shipped files the second is an alias of the first; in others a copy, and the one that is read.
        loaders = (_DATA_LOADER, f"train_dataset_task.dataset_config.{_LOADER}")
        settings += [Setting(f"{loader}.dataset_dir", spec.dataset, section=loader) for loader in loaders]
    if spec.checkpoint:
        settings.append(Setting("load_checkpoint", spec.checkpoint))
    if spec.epochs is not None:
        settings.append(Setting("runner_config.epochs", spec.epochs))
    if spec.batch_size is not None:
        settings.append(Setting("runner_config.batch_size", spec.batch_size))
    if spec.learning_rate is not None:
        settings.append(Setting("lr_schedule.learning_rate", spec.learning_rate))
    if spec.speed_up:
        settings.append(Setting(SPEED_UP_KEY, f"./{SPEED_UP_FILE}"))
    return [*settings, *_method(spec, values), *_sequence(spec)]


def _resume(resume: Resume, values: Mapping[str, Any]) -> Iterator[Setting]:
    """Let each rank load its own file, by name: MindFormers then needs neither shared storage nor a record of its own.

    The output stays where the job before had it.
    """
    yield Setting("load_checkpoint", f"./{LINKS}")
    yield Setting("resume_training", resume.name)
    for name, off in (("auto_trans_ckpt", False), ("src_strategy_path_or_dir", "")):
        if values.get(name):
            yield Setting(name, off)
    if values.get("load_ckpt_format", "ckpt") != resume.file_format:
        yield Setting("load_ckpt_format", resume.file_format)


def _method(spec: FinetuneSpec, values: Mapping[str, Any]) -> Iterator[Setting]:
    own = YamlView(values).section(_PET)
    if spec.method == "full" and own:
        raise ConfigError(
            f"--method full, but the yaml has a pet_config ({own.get('pet_type') or 'of no type'})",
            next_step="leave --method out to train as the yaml says, or give a yaml without pet_config",
        )
    if spec.method != "lora":
        return
    yield Setting(f"{_PET}.pet_type", "lora")
    for name, value in _LORA:
        if name not in own:
            yield Setting(f"{_PET}.{name}", value)
    if YamlView(values).get(ONLY_TRAINABLE) is False:
        return
    # Not save_file too: beside the strategy_ckpt_save_file of the full yaml it would win over output/strategy.
    yield Setting(ONLY_TRAINABLE, False, reason="merging LoRA needs the whole strategy")


def _sequence(spec: FinetuneSpec) -> Iterator[Setting]:
    if spec.seq_length is None:
        return
    extended = spec.seq_length > spec.pretrain_seq_length
    yield Setting(f"{_MODEL}.seq_length", spec.seq_length)
    yield Setting(f"{_MODEL}.pretrain_seqlen", spec.pretrain_seq_length)
    yield Setting(f"{_MODEL}.training_seqlen", spec.seq_length)
    yield Setting(f"{_MODEL}.extend_method", "NTK" if extended else "None")
    theta = theta_of(spec.seq_length)
    if theta is not None:
        yield Setting(f"{_MODEL}.theta", theta)
