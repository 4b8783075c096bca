# SPDX-License-Identifier: Apache-2.0
"""The yaml of a finetune: the source with the job's settings and the user's overrides laid over it, and judged."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.errors import ConfigError, SpecError
from telechat_runtime.finetune.latest_checkpoint import Resume
from telechat_runtime.finetune.settings import SPEED_UP_FILE, SPEED_UP_KEY, finetune_settings
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.job.options import Override
from telechat_runtime.training.config import ConfigFacts, TrainingConfig, config_facts, read_training_config
from telechat_runtime.training.document import Document, Setting
from telechat_runtime.training.layout import NAMES, Job, check
from telechat_runtime.training.layout_choice import check_lists, choose_layout
from telechat_runtime.training.shipped import ConfigSource

_LOAD_BALANCE = "enable_flash_attention_load_balance"


@dataclass(frozen=True)
class Workers:
    """The workers of a job."""

    device_target: str
    per_node: int
    nodes: int

    @property
    def count(self) -> int:
        """All of them."""
        return self.per_node * self.nodes


@dataclass(frozen=True)
class FinetuneConfig:
    """A yaml that the job can run with, as far as that shows without the nodes; `notes` are for the plan's reader."""

    spec: FinetuneSpec
    source: ConfigSource
    settings: Tuple[Setting, ...]
    document: Document
    facts: ConfigFacts
    training: TrainingConfig
    notes: Tuple[str, ...] = ()

    @property
    def values(self) -> Mapping[str, Any]:
        """The yaml as plain data."""
        return self.document.values

    @property
    def node_paths(self) -> List[str]:
        """Paths that have to be on every node."""
        speed_up = self.training.load_balance
        return [path for path in (self.facts.dataset, self.facts.checkpoint, speed_up) if path.startswith("/")]

    def having(self, settings: Sequence[Setting], notes: Sequence[str]) -> FinetuneConfig:
        """Return the same with more settings, which come before the user's overrides."""
        merged = _merged(self.settings, settings)
        return _config(self.spec, self.source, self.document, merged, (*self.notes, *notes))


def finetune_config(
    spec: FinetuneSpec, source: ConfigSource, workers: Workers, resume: Optional[Resume] = None
) -> FinetuneConfig:
    """Return the yaml with its layout chosen. Raises SpecError or ConfigError.

    A layout is proposed in place of one that does not fit for a yaml of the tree, which was made for other cards, and
    where the user gave numbers; a yaml of the user's own is refused, with the proposal as next step.
    """
    document = Document.load(source.text, source.name)
    settings = finetune_settings(
        spec, document.values, device_target=workers.device_target, world_size=workers.count, resume=resume
    )
    asked, others = _asked(spec)
    base = _base(spec, document, settings, others)
    job = _job(spec, base, workers)
    kept = [override.key for override in spec.overrides]
    chosen = choose_layout(base, job, asked, may_propose=spec.model is not None, kept=kept)
    config = _config(spec, source, document, _merged(settings, chosen.settings), chosen.notes)
    _check_paths(config, is_resumed=resume is not None)
    check_lists(config.training)
    if config.training.mode.fixes_layout and config.training.has_layout and workers.count > 1:
        check(config.training.layout, _job(spec, config.training, workers), next_step="change what --set gives")
    return config


def _config(
    spec: FinetuneSpec, source: ConfigSource, document: Document, settings: Tuple[Setting, ...], notes: Tuple[str, ...]
) -> FinetuneConfig:
    laid = document.laid(settings, spec.overrides)
    return FinetuneConfig(
        spec=spec,
        source=source,
        settings=settings,
        document=laid,
        facts=config_facts(laid.values),
        training=read_training_config(laid.values, model=spec.model),
        notes=notes,
    )


def _asked(spec: FinetuneSpec) -> Tuple[Dict[str, int], List[Override]]:
    """Return the numbers of the layout that the user gave, --set before options, and the overrides that give none."""
    names = {f"parallel_config.{key}": name for name, key, _ in NAMES}
    asked = spec.layout
    others: List[Override] = []
    for override in spec.overrides:
        if override.key not in names:
            others.append(override)
        elif override.value.isdigit() and int(override.value) > 0:
            asked[names[override.key]] = int(override.value)
        else:
            raise ConfigError(f"--set {override.key}={override.value}: this is a number of at least 1")
    return asked, others


def _base(
    spec: FinetuneSpec, document: Document, settings: Sequence[Setting], overrides: Sequence[Override]
) -> TrainingConfig:
    """Return what a layout is chosen for: the yaml with all but the numbers of the layout.

    Lists that the user made for another pipeline than the yaml's are left out; they are judged when it is chosen.
    """

    def read(laid: Sequence[Override]) -> TrainingConfig:
        return read_training_config(document.laid(settings, laid).values, model=spec.model)

    own, base = read(()), read(overrides)
    check_lists(own)
    try:
        check_lists(base)
    except ConfigError:
        training = replace(base.training, interleave=own.interleave)
        return replace(base, offset=own.offset, recompute=own.recompute, training=training)
    return base


def _job(spec: FinetuneSpec, config: TrainingConfig, workers: Workers) -> Job:
    return Job(
        shape=config.shape,
        cards=workers.count,
        cards_per_node=workers.per_node,
        seq_length=config.seq_length,
        sequence_parallel=config.training.sequence_parallel,
        fine_grain_interleave=config.fine_grain_interleave,
        load_balance=bool(spec.speed_up and json.loads(spec.speed_up).get(_LOAD_BALANCE)),
    )


def _check_paths(config: FinetuneConfig, *, is_resumed: bool) -> None:
    facts, spec = config.facts, config.spec
    if not facts.dataset:
        if spec.dataset:
            raise ConfigError(
                f"{config.source.name} has no train_dataset.data_loader, so nothing would read the dataset"
            )
        raise SpecError("the job has no dataset", next_step="give --dataset with the MindRecord folder on the nodes")
    checkpoint = "" if is_resumed else facts.checkpoint
    for what, path in (("dataset", facts.dataset), ("checkpoint", checkpoint)):
        if path and not path.startswith("/"):
            raise SpecError(f"the yaml's {what} {path!r} is a relative path", next_step=f"give it with --{what}")
    speed_up = config.training.load_balance
    if speed_up and not speed_up.startswith("/") and not (spec.speed_up and speed_up == f"./{SPEED_UP_FILE}"):
        raise ConfigError(
            f"the yaml's {SPEED_UP_KEY} is {speed_up!r}, a file that the tree does not bring",
            next_step=f"give the file by --flash-attention-load-balance, or do without: --set {SPEED_UP_KEY}=null",
        )


def _merged(before: Sequence[Setting], more: Sequence[Setting]) -> Tuple[Setting, ...]:
    """Return the settings, later ones of a key in place of earlier ones."""
    return tuple({setting.key: setting for setting in (*before, *more)}.values())
