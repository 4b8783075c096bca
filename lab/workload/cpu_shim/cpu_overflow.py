# SPDX-License-Identifier: Apache-2.0
"""The overflow check of a training step for CPU, which has no kernel for NPUGetFloatStatusV2 and FloatStatus."""

from mindspore import ops
from mindspore.common import dtype

_not_finite = ops.MultitypeFuncGraph("not_finite")


@_not_finite.register("Tensor")
def _tensor_not_finite(gradient):
    """Return 1 when the gradient holds an infinity or a NaN, else 0; shape (1,), float32."""
    finite = ops.cast(ops.isfinite(gradient), dtype.float32)
    return ops.reshape(1.0 - ops.ReduceMin()(ops.reshape(finite, (-1,))), (1,))


def get_overflow_status(self, _status, compute_output):
    """Return whether a gradient of any worker overflowed; a method for TrainOneStepWithLossScaleCell."""
    return self._get_distributed_overflow_status_on_infnan_mode(_not_finite, compute_output)
