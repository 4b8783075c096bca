# SPDX-License-Identifier: Apache-2.0
"""What a predict job sets in its yaml, with the reasons, and how many cards it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Mapping, Optional

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import ConfigError, SpecError
from telechat_runtime.predict.spec import PredictSpec
from telechat_runtime.training.overlay import Setting, config_values

_MODEL = "model.model_config"
_PARALLEL = "parallel_config"
_VOCABULARY = "processor.tokenizer.vocab_file"
_DATA_PARALLEL = ("0", "data_parallel")
_TELECHAT = "TelechatConfig"


@dataclass(frozen=True)
class PredictConfig:
    """What a plan needs to know of a predict yaml; lengths in tokens, 0 or empty where the yaml says nothing."""

    model_type: str
    model_name: str
    model_parallel: int
    splits_model: bool
    heads: int
    kv_heads: int
    seq_length: int
    trained_length: int
    block_size: int
    num_blocks: int
    batch_size: int
    is_dynamic: bool
    has_router_type: bool
    samples: bool
    max_new_tokens: int
    max_length: int
    checkpoint: str
    tokenizer: str


@dataclass(frozen=True)
class Cards:
    """Where a predict runs: the nodes that take part, and the workers of each."""

    cluster: Cluster
    per_node: int

    @property
    def world_size(self) -> int:
        """Number of workers."""
        return self.per_node * len(self.cluster.nodes)


def predict_config(text: str, *, source: str) -> PredictConfig:
    """Read from a predict yaml what a plan needs. Raises ConfigError for a yaml without a model."""
    values = config_values(text, source=source)
    model = _section(values, _MODEL)
    if not model:
        raise ConfigError(f"{source} has no {_MODEL}, so it describes no model")
    parallel = _section(values, "parallel")
    seq_length = _number(model, "seq_length")
    trained = _number(model, "max_position_embedding") or _number(model, "pretrain_seqlen") or seq_length
    return PredictConfig(
        model_type=str(model.get("type", "")),
        model_name=str(_section(values, "trainer").get("model_name", "")),
        model_parallel=max(1, _number(_section(values, _PARALLEL), "model_parallel")),
        splits_model=str(parallel.get("parallel_mode", "0")).lower() not in _DATA_PARALLEL,
        heads=_number(model, "num_heads"),
        kv_heads=_number(model, "n_kv_heads") or _number(model, "num_heads"),
        seq_length=seq_length,
        trained_length=trained,
        block_size=_number(model, "block_size"),
        num_blocks=_number(model, "num_blocks"),
        batch_size=_number(model, "batch_size"),
        is_dynamic=bool(model.get("is_dynamic")),
        has_router_type="router_dense_type" in model,
        samples=bool(model.get("do_sample")),
        max_new_tokens=_number(model, "max_new_tokens"),
        max_length=_number(model, "max_length") or _number(model, "max_decode_length"),
        checkpoint=str(values.get("load_checkpoint") or ""),
        tokenizer=str(_section(values, "processor.tokenizer").get("vocab_file") or ""),
    )


def choose_cards(config: PredictConfig, cluster: Cluster, npus_per_node: Optional[int]) -> Cards:
    """Return where to run: on the wished NPUs of all nodes, else on as many as the yaml splits the model over.

    These are taken from as few nodes as have them, from rank 0 on. Raises SpecError or ConfigError.
    """
    if npus_per_node is not None:
        cards = Cards(cluster=cluster, per_node=cluster.workers_per_node(npus_per_node))
    else:
        wanted = config.model_parallel if config.splits_model else 1
        per_node = min(wanted, cluster.master.npu_count)
        nodes, rest = divmod(wanted, per_node)
        if rest or nodes > len(cluster.nodes):
            have = " + ".join(str(node.npu_count) for node in cluster.nodes)
            raise SpecError(
                f"the yaml splits the model over {wanted} cards, and the nodes have {have}",
                next_step="take more nodes (--limit), or choose the cards by --npus-per-node",
            )
        taken = cluster.limited_to([node.name for node in cluster.nodes[:nodes]])
        cards = Cards(cluster=taken, per_node=taken.workers_per_node(per_node))
    _check_heads(config, cards.world_size)
    return cards


def predict_settings(spec: PredictSpec, config: PredictConfig, *, device_target: str, world_size: int) -> List[Setting]:
    """Return what the job sets, whatever the yaml says. Raises SpecError for wishes that the yaml contradicts."""
    settings = [
        Setting("run_mode", "predict"),
        Setting("output_dir", "./output"),
        Setting("context.device_target", device_target),
        Setting("use_parallel", world_size > 1),
    ]
    if spec.checkpoint:
        settings.append(Setting("load_checkpoint", spec.checkpoint))
    if spec.tokenizer:
        settings.append(Setting(_VOCABULARY, spec.tokenizer))
    if spec.source_strategy:
        settings.append(Setting("src_strategy_path_or_dir", spec.source_strategy))
    return [*settings, *_parallel(config, world_size), *_model(config), *_extrapolation(spec, config)]


def check_generation(spec: PredictSpec, config: PredictConfig) -> None:
    """Raise SpecError for a length or a sampling option that would have no effect."""
    generation = spec.generation
    longest = spec.extrapolate or config.seq_length
    for option, length in (
        ("--max-length", generation.max_length),
        ("--max-new-tokens", generation.max_new_tokens),
    ):
        if length is not None and longest and length > longest:
            raise SpecError(
                f"{option} {length} is more than the model's seq_length, {longest}",
                next_step=f"--extrapolate {length} stretches it (dynamic NTK)",
            )
    sampling = [name for name in ("top_k", "top_p", "temperature") if getattr(generation, name) is not None]
    if sampling and not (config.samples if generation.do_sample is None else generation.do_sample):
        raise SpecError(
            f"--{sampling[0].replace('_', '-')} has no effect: do_sample is False, so the likeliest token wins",
            next_step="add --do-sample",
        )


def _parallel(config: PredictConfig, world_size: int) -> List[Setting]:
    if not config.splits_model or config.model_parallel == world_size:
        return []
    reason = f"{world_size} cards"
    return [
        Setting(f"{_PARALLEL}.data_parallel", 1),
        Setting(f"{_PARALLEL}.model_parallel", world_size, reason=reason),
        Setting(f"{_PARALLEL}.pipeline_stage", 1),
    ]


def _model(config: PredictConfig) -> List[Setting]:
    settings = []
    if config.batch_size != 1:
        settings.append(Setting(f"{_MODEL}.batch_size", 1, reason="one question at a time"))
    if config.model_type == _TELECHAT and not config.has_router_type:
        reason = "the tree's inference code reads it for dense models too, and dies without it"
        settings.append(Setting(f"{_MODEL}.router_dense_type", "float32", reason=reason))
    return settings


def _extrapolation(spec: PredictSpec, config: PredictConfig) -> List[Setting]:
    """Return the two steps of dynamic NTK extrapolation, and the room in the KV cache that they need."""
    length = spec.extrapolate
    if length is None:
        return []
    if length <= config.trained_length:
        raise SpecError(
            f"--extrapolate {length} is not more than the {config.trained_length} tokens that the model is trained for",
            next_step="leave --extrapolate out",
        )
    if config.block_size and length % config.block_size:
        fits = -(-length // config.block_size) * config.block_size
        raise SpecError(
            f"--extrapolate {length} is no multiple of the KV cache's block_size, {config.block_size}",
            next_step=f"--extrapolate {fits} is",
        )
    settings = [
        Setting("parallel.parallel_mode", "STAND_ALONE"),
        Setting("parallel.full_batch", False),
        Setting(f"{_MODEL}.seq_length", length),
        Setting(f"{_MODEL}.max_position_embedding", config.trained_length, reason="the length of the training"),
        Setting(f"{_MODEL}.extend_method", "DYNAMIC_NTK"),
    ]
    if not config.is_dynamic:
        settings.append(Setting(f"{_MODEL}.is_dynamic", True, reason="DYNAMIC_NTK asks for it"))
    if config.block_size and config.num_blocks * config.block_size < length:
        reason = "block_size x num_blocks tokens fit into the KV cache"
        settings.append(Setting(f"{_MODEL}.num_blocks", length // config.block_size, reason=reason))
    return settings


def _check_heads(config: PredictConfig, world_size: int) -> None:
    if not config.splits_model or world_size == 1:
        return
    for name, heads in (("num_heads", config.heads), ("n_kv_heads", config.kv_heads)):
        if heads and heads % world_size:
            fits = [count for count in range(1, heads + 1) if heads % count == 0]
            raise ConfigError(
                f"{name} {heads} can't be split over {world_size} cards",
                next_step=f"take one of {', '.join(map(str, fits))} cards",
            )


def _section(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    here: Any = values
    for part in key.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def _number(section: Mapping[str, Any], name: str) -> int:
    value = section.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
