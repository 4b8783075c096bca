# SPDX-License-Identifier: Apache-2.0
"""What the user asks of a finetune job, checked as far as it can be without looking at a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from telechat_runtime.spec import Override, check_node_path


@dataclass(frozen=True)
class FinetuneSpec:
    """A finetune as the user asked for it; paths are those of the nodes' containers."""

    model: Optional[str] = None
    dataset: str = ""
    checkpoint: str = ""
    overrides: Tuple[Override, ...] = ()
    epochs: Optional[int] = None
    batch_size: Optional[int] = None
    learning_rate: Optional[float] = None

    def __post_init__(self) -> None:
        check_node_path("--dataset", self.dataset)
        check_node_path("--checkpoint", self.checkpoint)
