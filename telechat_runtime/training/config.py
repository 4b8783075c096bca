# SPDX-License-Identifier: Apache-2.0
"""What a MindFormers yaml says of a training, as far as the arithmetic before it needs to know."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Mapping, Optional, Sequence, Tuple

from telechat_runtime.errors import ConfigError
from telechat_runtime.training.layout import NAMES, Layout
from telechat_runtime.training.memory import Recompute, StageMemory, Training, card_memory
from telechat_runtime.training.model_shape import SHAPES, ModelShape, shape_of
from telechat_runtime.training.parallel_mode import ParallelMode, parallel_mode
from telechat_runtime.training.pipeline import (
    Pipeline,
    Value,
    adapted_counts,
    new_offset,
    offset_problem,
    stage_counts,
    stage_layers,
)
from telechat_runtime.training.yaml_view import YamlView

RECOMPUTE_LISTS = ("recompute", "select_recompute", "select_comm_recompute")
ONLY_TRAINABLE = "parallel.strategy_ckpt_config.only_trainable_params"
DEFAULT_TARGET_MODULES = ".*wq|.*wk_v|.*wo"
_DEFAULT_LORA_RANK = 8


@dataclass(frozen=True)
class Stages:
    """The pipeline of a layout: its layers in each stage, and the values of the yaml that are as long as it."""

    pipeline: Pipeline
    offset: Value
    layers: Tuple[int, ...]
    recompute: Mapping[str, Any]


@dataclass(frozen=True)
class TrainingConfig:
    """A training as its yaml has it; without a `shape` or a `seq_length` part of the arithmetic can't be done."""

    layout: Layout
    has_layout: bool
    mode: ParallelMode
    shape: Optional[ModelShape]
    architecture: str
    seq_length: Optional[int]
    training: Training
    offset: Value
    recompute: Mapping[str, Any]
    fine_grain_interleave: int
    load_balance: str

    @property
    def cuts_model(self) -> bool:
        """Whether several cards hold a part of the model each."""
        return self.mode.cuts_model

    @property
    def interleave(self) -> int:
        """Runs of layers of each stage."""
        return self.training.interleave

    def stages(self, layout: Layout) -> Stages:
        """Return the pipeline of a layout: as the yaml has it, or made anew when the layout has another one."""
        if self.shape is None:
            raise ValueError("a model of unknown shape has no stages")
        old = Pipeline(layers=self.shape.layers, stages=self.layout.pp, interleave=self.interleave)
        if layout.pp == self.layout.pp and not offset_problem(self.offset, old):
            return Stages(old, self.offset, stage_layers(self.offset, old), self.recompute)
        new = Pipeline(self.shape.layers, layout.pp, _interleave(self.shape.layers, layout.pp, self.interleave))
        offset = new_offset(new)
        layers = stage_layers(offset, new)
        held = _stage_layers_or_even(self.offset, old)
        recompute = {name: _adapted(value, held, layers) for name, value in self.recompute.items()}
        return Stages(new, offset, layers, recompute)

    def memory(self, layout: Layout) -> Optional[StageMemory]:
        """Return the memory of the fullest card with that layout; None when the yaml does not say enough."""
        if self.shape is None or self.seq_length is None or layout.pp > self.shape.layers:
            return None
        stages = self.stages(layout)
        counts = [_counts(stages.recompute.get(name, False), stages.layers) for name in RECOMPUTE_LISTS]
        training = replace(self.training, interleave=stages.pipeline.interleave)
        recompute = Recompute(full=counts[0], select=counts[1], communication=counts[2])
        return card_memory(self.shape, layout, training, stages.layers, recompute)


@dataclass(frozen=True)
class ConfigFacts:
    """What the plan of a training needs of its yaml; empty where the yaml says nothing."""

    model_name: str
    dataset: str
    checkpoint: str
    output: str
    pipeline_stages: int = 1  # with more than one, only the last stage knows the loss


def config_facts(document: Mapping[str, Any]) -> ConfigFacts:
    """Read from the yaml what a plan needs. Raises ConfigError for a value that YamlView refuses."""
    view = YamlView(document)
    return ConfigFacts(
        model_name=view.text("trainer.model_name"),
        dataset=view.text("train_dataset.data_loader.dataset_dir"),
        checkpoint=view.text("load_checkpoint"),
        output=view.text("output_dir"),
        pipeline_stages=view.count("parallel_config.pipeline_stage") or 1,
    )


def read_training_config(document: Mapping[str, Any], *, model: Optional[str] = None) -> TrainingConfig:
    """Read the yaml's own numbers; a yaml without the sizes of its model gets those published for `model`, if any.

    Raises ConfigError for a value that YamlView refuses, and for target_modules that are no regular expression.
    """
    view = YamlView(document)
    model_config = view.section("model.model_config")
    sizes = view.section("parallel_config")
    parallel = view.section("parallel")
    shape = shape_of(model_config, view.section("moe_config")) or SHAPES.get(model or "")
    seq_length = model_config.count("seq_length")
    interleaves = parallel.flag("pipeline_config.pipeline_interleave")
    return TrainingConfig(
        layout=Layout(**{name: sizes.count(key) or 1 for name, key, _ in NAMES}),
        has_layout=any(key in sizes for _, key, _ in NAMES),
        mode=parallel_mode(document),
        shape=shape,
        architecture=view.text("model.arch.type"),
        seq_length=seq_length,
        training=Training(
            seq_length=seq_length or 0,
            batch_size=view.count("runner_config.batch_size") or 1,
            parallel_optimizer=parallel.flag("enable_parallel_optimizer"),
            optimizer_shard=_optimizer_shard(parallel),
            sequence_parallel=sizes.flag("use_seq_parallel"),
            flash_attention=model_config.flag("use_flash_attention"),
            compressed_mask=model_config.flag("use_attn_mask_compression"),
            lora_parameters=_lora_parameters(model_config.section("pet_config"), shape),
            interleave=(model_config.count("pp_interleave_num") or 1) if interleaves else 1,
        ),
        offset=model_config.get("offset") or 0,
        recompute={name: _recompute(view.section("recompute_config"), name) for name in RECOMPUTE_LISTS},
        fine_grain_interleave=model_config.count("fine_grain_interleave") or 1,
        load_balance=view.text("context.ascend_config.parallel_speed_up_json_path"),
    )


def _recompute(section: YamlView, name: str) -> Any:
    return section.get(name) if name in section else False


def _optimizer_shard(parallel: YamlView) -> int:
    """Return over how many cards the optimizer's weights are cut; -1, also MindFormers' own default, means all."""
    size = parallel.number("parallel_optimizer_config.optimizer_weight_shard_size") or -1
    return int(size) if size > 0 else -1


def _interleave(layers: int, stages: int, interleave: int) -> int:
    """Return the most interleaves, up to those of the yaml, that leave no run of layers empty; a lone stage has one."""
    return max(1, min(interleave, layers // stages)) if stages > 1 else 1


def _stage_layers_or_even(offset: Value, pipeline: Pipeline) -> Tuple[int, ...]:
    even = new_offset(pipeline)
    return stage_layers(even if offset_problem(offset, pipeline) else offset, pipeline)


def _adapted(value: Any, old: Sequence[int], new: Sequence[int]) -> Any:
    if isinstance(value, dict):
        return {pattern: adapted_counts(counts, old, new) for pattern, counts in value.items()}
    return adapted_counts(value, old, new)


def _counts(value: Any, layers: Sequence[int]) -> Tuple[int, ...]:
    if isinstance(value, dict):
        each = [stage_counts(counts, layers) for counts in value.values()]
        return tuple(map(max, zip(*each))) if each else (0,) * len(layers)
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
        return tuple(layers)
    return stage_counts(value, layers)


def _lora_parameters(pet_config: YamlView, shape: Optional[ModelShape]) -> Optional[int]:
    if not pet_config or shape is None:
        return None
    rank = pet_config.count("lora_rank") or _DEFAULT_LORA_RANK
    pattern = pet_config.text("target_modules") or DEFAULT_TARGET_MODULES
    try:
        return shape.lora_parameters(rank, pattern)
    except re.error as error:
        raise ConfigError(f"pet_config.target_modules {pattern!r} is no regular expression: {error}") from error
