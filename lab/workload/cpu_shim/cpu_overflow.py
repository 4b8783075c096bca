# SPDX-License-Identifier: Apache-2.0
"""The overflow check of a training step for CPU, which has no kernel for NPUGetFloatStatusV2 and FloatStatus."""

# ruff: noqa: INP001 - a folder for PYTHONPATH, not a package
from __future__ import annotations

from typing import Any

from mindspore import ops
from mindspore.common import dtype

_not_finite = ops.MultitypeFuncGraph("not_finite")


@_not_finite.register("Tensor")  # type: ignore[untyped-decorator]
def _tensor_not_finite(gradient: Any) -> Any:
    """Return 1 when the gradient holds an infinity or a NaN, else 0; shape (1,), float32."""
    finite = ops.cast(ops.isfinite(gradient), dtype.float32)
    return ops.reshape(1.0 - ops.ReduceMin()(ops.reshape(finite, (-1,))), (1,))


def get_overflow_status(self: Any, _status: Any, compute_output: Any) -> Any:
    """Return whether a gradient of any worker overflowed; a method for TrainOneStepWithLossScaleCell."""
    return self._get_distributed_overflow_status_on_infnan_mode(_not_finite, compute_output)
