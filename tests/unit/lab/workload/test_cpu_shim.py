# SPDX-License-Identifier: Apache-2.0
"""The CPU shim mends the module it knows, on CPU only, and leaves every other program alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHIM = Path(__file__).parents[4] / "lab" / "workload" / "cpu_shim"

CONTEXT = "import os\ndef get_context(key):\n    assert key == 'device_target'\n    return os.environ['TARGET']\n"
LOSS_SCALE = """
class TrainOneStepWithLossScaleCell:
    def __init__(self, name):
        self.name = name
    def get_overflow_status(self, status, compute_output):
        return "NPU kernel"
    def _get_distributed_overflow_status_on_infnan_mode(self, check, compute_output):
        return f"{self.name} by {check.name}"
"""
GENERATOR = """
class GenerationMixin:
    def __init__(self, name):
        self.name = name
        self.argmax = "NPU kernel"
"""
GENERATE = """
from mindformers.generation import text_generator
print(text_generator.GenerationMixin("model").argmax)
"""
TENSOR = """
class Tensor:
    def __init__(self, data):
        self.data = data
    def asnumpy(self):
        return f"sum of {self.data}"
"""
BARRIER = """
def barrier(group=None):
    return "NPU kernel"
"""
WAIT = """
from mindspore.communication.comm_func import barrier
print(barrier())
"""
CALLBACK = """
class MFLossMonitor:
    def on_train_step_begin(self, run_context):
        print("began", run_context)
"""
STEP = """
import time
time.sleep = lambda seconds: print("slept", seconds)
from mindformers.core.callback import callback
callback.MFLossMonitor().on_train_step_begin("step")
"""
OPS = """
argmax = "CPU kernel"
class AllReduce:
    def __call__(self, tensor):
        return tensor
class MultitypeFuncGraph:
    def __init__(self, name):
        self.name = name
    def register(self, *types):
        return lambda function: function
"""
TRAIN = """
from mindspore.nn.wrap import loss_scale
print(loss_scale.TrainOneStepWithLossScaleCell("step").get_overflow_status(None, None))
print(loss_scale.__spec__.loader.get_source("mindspore.nn.wrap.loss_scale").strip().splitlines()[0])
"""


def python(code: str, *, path: list[Path], **env: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, path)), **env}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, text=True, capture_output=True, check=False
    )


@pytest.fixture
def framework(tmp_path: Path) -> Path:
    """A package with the few names of MindSpore that the shim touches."""
    files = {
        "mindspore/__init__.py": TENSOR,
        "mindspore/context.py": CONTEXT,
        "mindspore/ops.py": OPS,
        "mindspore/common/__init__.py": "dtype = None\n",
        "mindspore/communication/__init__.py": "",
        "mindspore/communication/comm_func.py": BARRIER,
        "mindspore/nn/__init__.py": "",
        "mindspore/nn/wrap/__init__.py": "",
        "mindspore/nn/wrap/loss_scale.py": LOSS_SCALE,
        "mindformers/__init__.py": "",
        "mindformers/core/__init__.py": "",
        "mindformers/core/callback/__init__.py": "",
        "mindformers/core/callback/callback.py": CALLBACK,
        "mindformers/generation/__init__.py": "",
        "mindformers/generation/text_generator.py": GENERATOR,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_on_cpu_the_overflow_check_is_replaced_and_source_stays_readable(framework: Path) -> None:
    result = python(TRAIN, path=[SHIM, framework], TARGET="CPU")
    assert result.stdout.splitlines() == ["step by not_finite", "class TrainOneStepWithLossScaleCell:"], result.stderr


def test_on_an_npu_nothing_changes(framework: Path) -> None:
    result = python(TRAIN, path=[SHIM, framework], TARGET="Ascend")
    assert result.stdout.splitlines()[0] == "NPU kernel", result.stderr


@pytest.mark.parametrize(("target", "kernel"), [("CPU", "CPU kernel"), ("Ascend", "NPU kernel")])
def test_the_greedy_choice_is_replaced_on_cpu_only(framework: Path, target: str, kernel: str) -> None:
    result = python(GENERATE, path=[SHIM, framework], TARGET=target)
    assert result.stdout.splitlines() == [kernel], result.stderr


@pytest.mark.parametrize(("target", "way"), [("CPU", "sum of [1.0]"), ("Ascend", "NPU kernel")])
def test_the_barrier_is_replaced_on_cpu_only(framework: Path, target: str, way: str) -> None:
    result = python(WAIT, path=[SHIM, framework], TARGET=target)
    assert result.stdout.splitlines() == [way], result.stderr


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"TARGET": "CPU"}, ["began step"]),
        ({"TARGET": "CPU", "WORKLOAD_STEP_SECONDS": "0.5"}, ["began step", "slept 0.5"]),
        ({"TARGET": "Ascend", "WORKLOAD_STEP_SECONDS": "0.5"}, ["began step"]),
    ],
)
def test_steps_are_slowed_down_on_request(framework: Path, env: dict[str, str], said: list[str]) -> None:
    result = python(STEP, path=[SHIM, framework], **env)
    assert result.stdout.splitlines() == said, result.stderr


def test_packages_are_left_out_on_request_and_say_so_when_used(tmp_path: Path) -> None:
    (tmp_path / "jieba.py").write_text("print('jieba is loaded')\ndef cut(text):\n    return [text]\n")
    code = "import jieba.finalseg\nfrom jieba import cut\nprint('imported')\ncut('text')"
    result = python(code, path=[SHIM, tmp_path], WORKLOAD_WITHOUT="nltk,jieba")
    assert result.stdout == "imported\n"
    assert "ImportError: WORKLOAD_WITHOUT leaves out jieba, which has cut" in result.stderr
    assert python("import jieba", path=[SHIM, tmp_path]).stdout == "jieba is loaded\n"


def test_other_programs_see_nothing_of_it() -> None:
    code = "import sys, json, email.message; print(any(m.startswith(('mindspore', 'numpy')) for m in sys.modules))"
    result = python(code, path=[SHIM])
    assert (result.returncode, result.stdout, result.stderr) == (0, "False\n", "")


def test_the_sitecustomize_that_it_hides_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.was_customized = True\n")
    result = python("import sys; print(sys.was_customized)", path=[SHIM, tmp_path])
    assert result.stdout == "True\n", result.stderr
