# SPDX-License-Identifier: Apache-2.0
"""What a predict job sets in its yaml, with the reasons, and how many cards it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import ConfigError, SpecError
from telechat_runtime.predict.spec import PredictSpec
from telechat_runtime.training.document import Document, Setting
from telechat_runtime.training.parallel_mode import KEY as _PARALLEL_MODE
from telechat_runtime.training.parallel_mode import parallel_mode
from telechat_runtime.training.yaml_view import YamlView

_MODEL = "model.model_config"
_PARALLEL = "parallel_config"
_VOCABULARY = "processor.tokenizer.vocab_file"
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


def predict_config(document: Document) -> PredictConfig:
    """Read from a predict yaml what a plan needs.

    Raises ConfigError for a yaml without a model, and for a value that YamlView refuses.
    """
    view = YamlView(document.values)
    model = view.section(_MODEL)
    if not model:
        raise ConfigError(f"{document.source} has no {_MODEL}, so it describes no model")
    seq_length = model.count("seq_length") or 0
    trained = model.count("max_position_embedding") or model.count("pretrain_seqlen") or seq_length
    heads = model.count("num_heads") or 0
    return PredictConfig(
        model_type=model.text("type"),
        model_name=view.text("trainer.model_name"),
        model_parallel=view.count(f"{_PARALLEL}.model_parallel") or 1,
        splits_model=parallel_mode(document.values).cuts_inference,
        heads=heads,
        kv_heads=model.count("n_kv_heads") or heads,
        seq_length=seq_length,
        trained_length=trained,
        block_size=model.count("block_size") or 0,
        num_blocks=model.count("num_blocks") or 0,
        batch_size=model.count("batch_size") or 0,
        is_dynamic=model.flag("is_dynamic"),
        has_router_type="router_dense_type" in model,
        samples=model.flag("do_sample"),
        max_new_tokens=model.count("max_new_tokens") or 0,
        max_length=model.count("max_length") or model.count("max_decode_length") or 0,
        checkpoint=view.text("load_checkpoint"),
        tokenizer=view.text(_VOCABULARY),
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
    return [*settings, *_parallel(config, world_size), *_model(config), *extrapolation_settings(spec, config)]


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


def extrapolation_settings(spec: PredictSpec, config: PredictConfig) -> List[Setting]:
    """Return the two steps of dynamic NTK extrapolation, and the room in the KV cache that they need.

    Raises SpecError for a length that needs no extrapolation, or does not suit the cache.
    """
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
        Setting(_PARALLEL_MODE, "STAND_ALONE"),
        Setting("parallel.full_batch", False),
        Setting(f"{_MODEL}.seq_length", length),
        Setting(f"{_MODEL}.max_position_embedding", config.trained_length, reason="the length of the training"),
        Setting(f"{_MODEL}.extend_method", "DYNAMIC_NTK"),
    ]
    if not config.splits_model and config.model_parallel > 1:
        settings.append(Setting(f"{_PARALLEL}.model_parallel", 1, reason="STAND_ALONE cuts no model"))
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
