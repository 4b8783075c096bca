# SPDX-License-Identifier: Apache-2.0
"""What a finetune sets in its yaml, whatever the yaml says."""

from __future__ import annotations

from typing import List

from telechat_runtime.config import Setting
from telechat_runtime.finetune_spec import FinetuneSpec

_LOADER = "data_loader"
_DATA_LOADER = f"train_dataset.{_LOADER}"


def finetune_settings(spec: FinetuneSpec, *, device_target: str, world_size: int) -> List[Setting]:
    """Return what a finetune sets, whatever the yaml says."""
    settings: List[Setting] = [
        Setting("run_mode", "finetune"),
        Setting("output_dir", "./output"),
        Setting("context.device_target", device_target),
        Setting("use_parallel", world_size > 1),
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
    return settings
