# SPDX-License-Identifier: Apache-2.0
"""What the user asks of a finetune job, checked as far as it can be without looking at a node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from telechat_runtime.errors import SpecError
from telechat_runtime.job.options import Override, check_node_path

KIND = "finetune"
METHODS = ("full", "lora")
TRANSFORMS = ("auto", "offline", "none")
# The context that the published TeleChat2 models were trained with.
PRETRAIN_SEQ_LENGTH = 8192
# theta for a sequence of up to that length; the TeleChat2 guide names these three, 8192 needing no theta.
THETAS: Tuple[Tuple[int, Optional[int]], ...] = ((8192, None), (32768, 1_000_000), (262144, 40_000_000))
_LOAD_BALANCE = "--flash-attention-load-balance"


@dataclass(frozen=True)
class FinetuneSpec:
    """A finetune as the user asked for it; paths are those of the nodes' containers.

    `dp` … `micro_batch_num` are the numbers of the layout that were given. `speed_up` is the text of the JSON file that
    MindSpore reads its communication settings from, load balance of attention among them.
    """

    model: Optional[str] = None
    method: Optional[str] = None
    dataset: str = ""
    checkpoint: str = ""
    overrides: Tuple[Override, ...] = ()
    epochs: Optional[int] = None
    batch_size: Optional[int] = None
    learning_rate: Optional[float] = None
    seq_length: Optional[int] = None
    pretrain_seq_length: int = PRETRAIN_SEQ_LENGTH
    dp: Optional[int] = None
    mp: Optional[int] = None
    pp: Optional[int] = None
    cp: Optional[int] = None
    ep: Optional[int] = None
    micro_batch_num: Optional[int] = None
    checkpoint_transform: Optional[str] = None
    speed_up: str = ""

    def __post_init__(self) -> None:
        check_node_path("--dataset", self.dataset)
        check_node_path("--checkpoint", self.checkpoint)
        longest = THETAS[-1][0]
        if self.seq_length is not None and self.seq_length > longest:
            raise SpecError(
                f"--seq-length {self.seq_length} is longer than {longest}, the longest with a known theta",
                next_step="set seq_length, training_seqlen, extend_method and theta of model.model_config by --set",
            )
        if self.checkpoint_transform in {"auto", "offline"} and not self.checkpoint:
            raise SpecError(
                f"--checkpoint-transform {self.checkpoint_transform} has nothing to work on",
                next_step="give --checkpoint with the weights to start from",
            )
        if self.speed_up:
            _check_json_object(self.speed_up)

    @property
    def layout(self) -> Dict[str, int]:
        """The numbers of the layout that were given, by their names in Layout."""
        names = ("dp", "mp", "pp", "cp", "ep", "micro_batch_num")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def theta_of(seq_length: int) -> Optional[int]:
    """Return the theta for that length, that of the next longer one with a name; None where it stays the default."""
    return next(theta for longest, theta in THETAS if seq_length <= longest)


def _check_json_object(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SpecError(f"{_LOAD_BALANCE}: the file is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise SpecError(f"{_LOAD_BALANCE}: the file holds no JSON object of settings")
