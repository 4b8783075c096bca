# SPDX-License-Identifier: Apache-2.0
"""What the nodes' data forbids: rows of another length, a checkpoint cut for other cards, folders not shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from telechat_runtime.plan.data_facts import DataLook
from telechat_runtime.remote.answers.probe import CheckpointFacts, FolderFacts
from telechat_runtime.training.config import TrainingConfig
from telechat_runtime.training.layout import Layout
from telechat_runtime.training.memory import GIB, checkpoint_bytes
from telechat_runtime.training.yaml_view import YamlView

# Models that cut the last id of a row off for the input and the first for the labels (Telechat, Llama and their kin).
_ONE_MORE = ("TelechatForCausalLM", "LlamaForCausalLM")
_MIND_DATASET = "MindDataset"


def row_problems(config: TrainingConfig, looks: Mapping[str, DataLook], *, cards: int) -> Iterator[str]:
    """Yield for each node why its dataset does not suit the model's seq_length, or is too small for one step."""
    if config.seq_length is None:
        return
    batch = global_batch(config, cards)
    wanted = [config.seq_length + 1]
    if config.architecture not in _ONE_MORE:
        wanted.append(config.seq_length)
    for node, look in looks.items():
        if look.dataset is None:
            continue
        if look.dataset.problem:
            yield f"{node}: {look.dataset.problem}"
            continue
        wrong = [length for length in look.dataset.row_lengths if length not in wanted]
        if wrong:
            yield (
                f"{node}: the dataset has rows of {', '.join(map(str, wrong))} ids; seq_length {config.seq_length} "
                f"needs {' or '.join(map(str, wanted))}, one more for the label of the last"
            )
        elif look.dataset.rows is not None and look.dataset.rows < batch:
            yield f"{node}: the dataset has {look.dataset.rows} rows, and one step takes {batch}"


def reads_mindrecord(values: Mapping[str, Any]) -> bool:
    """Tell whether the yaml's data loader reads MindRecord files, whose rows a node can measure."""
    return bool(YamlView(values).get("train_dataset.data_loader.type") == _MIND_DATASET)


def shared_problems(paths: Sequence[str], looks: Mapping[str, DataLook]) -> Iterator[str]:
    """Yield why a folder that all nodes are to share is not the same folder on each."""
    for path in paths:
        seen = {node: look.folder(path) for node, look in looks.items()}
        missing = [node for node, folder in seen.items() if folder is None]
        if missing:
            yield f"{path} (telechat_shared_paths) is not there on {', '.join(missing)}"
            continue
        folders: Dict[str, FolderFacts] = {node: folder for node, folder in seen.items() if folder is not None}
        first, *others = folders
        apart = [node for node in others if folders[node].is_apart_from(folders[first])]
        if apart:
            yield (
                f"{path} (telechat_shared_paths) is not the same folder on {first} ({folders[first].filesystem}) "
                f"and on {', '.join(f'{node} ({folders[node].filesystem})' for node in apart)}"
            )


@dataclass(frozen=True)
class Saving:
    """What a job writes: checkpoints of `each_bytes`, at most `kept` of them."""

    each_bytes: int
    kept: int


def saving(config: TrainingConfig, values: Mapping[str, Any], *, cards: int, rows: Optional[int]) -> Optional[Saving]:
    """Return what all cards of a job write together; None when the yaml does not say enough, or saves nothing."""
    view = YamlView(values)
    monitor = next((each for each in _callbacks(view) if each.get("type") == "CheckpointMonitor"), None)
    if monitor is None or config.shape is None or view.flag("only_save_strategy"):
        return None
    each = checkpoint_bytes(config.shape, _cut(config, cards), config.training)
    kept = monitor.count("keep_checkpoint_max") or 1
    if rows is not None:
        epochs = view.count("runner_config.epochs") or 1
        steps = epochs * (rows // global_batch(config, cards))
        kept = min(kept, max(1, -(-steps // (monitor.count("save_checkpoint_steps") or 1))))
    return Saving(each_bytes=each, kept=kept)


def global_batch(config: TrainingConfig, cards: int) -> int:
    """Return the rows of one step, as MindFormers counts them: batch x data parallel, x micro batches of a pipeline."""
    cut = _cut(config, cards)
    return config.training.batch_size * cut.dp * (cut.micro_batch_num if cut.pp > 1 else 1)


def disk_problem(wanted: Saving, free_bytes: int, folder: str) -> Optional[str]:
    """Return why the checkpoints that are kept in a folder don't fit there."""
    if wanted.each_bytes * wanted.kept <= free_bytes:
        return None
    room = free_bytes // wanted.each_bytes
    return (
        f"{folder} has {free_bytes / GIB:.1f} GiB free; {wanted.kept} checkpoints of {wanted.each_bytes / GIB:.1f} GiB "
        f"each are kept there, and {room} fit"
    )


def shard_problem(look: CheckpointFacts, cards: int) -> Optional[str]:
    """Return why a checkpoint that is cut for ranks can't be loaded as it is by that many cards."""
    if look.empty:
        return f"it has no checkpoint file for rank {', '.join(map(str, look.empty))}"
    missing = sorted(set(range(cards)) - set(look.ranks))
    if len(look.ranks) != cards or missing:
        return f"it is cut for {len(look.ranks)} ranks, and the job has {cards}"
    return None


def _cut(config: TrainingConfig, cards: int) -> Layout:
    return config.layout if config.cuts_model and cards > 1 else Layout(dp=cards)


def _callbacks(view: YamlView) -> List[YamlView]:
    callbacks = view.get("callbacks")
    each = enumerate(callbacks) if isinstance(callbacks, list) else ()
    return [YamlView(values, f"callbacks.{index}") for index, values in each if isinstance(values, dict)]
