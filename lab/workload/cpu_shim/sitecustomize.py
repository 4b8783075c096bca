# SPDX-License-Identifier: Apache-2.0
"""With this folder on PYTHONPATH, MindFormers' training step, resumption and greedy generation run on CPU.

With WORKLOAD_STEP_SECONDS in the environment a training step takes that much longer, in which the CPU is free, as it is
while an NPU computes: a training that is only there to be at work does not take the machine from everything else.
WORKLOAD_WITHOUT names packages, with commas between, that are not loaded: MindFormers imports some at every start that
only its metrics and its Hugging Face data loader use, and they take two fifths of its start.

Python imports this module at every start, so it imports next to nothing: a patch is applied when, and only if, the
program itself imports the module that it mends. A patch does nothing unless MindSpore's device target is CPU.
"""

# ruff: noqa: INP001 - a folder for PYTHONPATH, not a package
from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import time
from types import ModuleType
from typing import Any, Callable

_HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib would cost every start 5 ms


def _mend_overflow_check(module: ModuleType) -> None:
    """Give TrainOneStepWithLossScaleCell an overflow check made of operators that CPU has."""
    cls = module.TrainOneStepWithLossScaleCell
    init = cls.__init__

    def init_with_cpu_check(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        from mindspore import context  # noqa: PLC0415 - here, the program has imported it

        if context.get_context("device_target") == "CPU":
            import cpu_overflow  # type: ignore[import-not-found]  # noqa: PLC0415 - imports MindSpore

            self.get_overflow_status = cpu_overflow.get_overflow_status.__get__(self)

    cls.__init__ = init_with_cpu_check


def _mend_greedy_choice(module: ModuleType) -> None:
    """Give GenerationMixin an argmax that CPU has a kernel for; mint.argmax is ArgMaxExt, which it lacks."""
    cls = module.GenerationMixin
    init = cls.__init__

    def init_with_cpu_argmax(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        from mindspore import context, ops  # noqa: PLC0415 - here, the program has imported it

        if context.get_context("device_target") == "CPU":
            self.argmax = ops.argmax

    cls.__init__ = init_with_cpu_argmax


def _mend_barrier(module: ModuleType) -> None:
    """Let workers wait for each other by a sum over all: CPU has no kernel for Barrier, which resuming takes."""
    barrier = module.barrier

    def barrier_by_sum(*args: Any, **kwargs: Any) -> Any:
        from mindspore import Tensor, context, ops  # noqa: PLC0415 - here, the program has imported it

        if context.get_context("device_target") != "CPU":
            return barrier(*args, **kwargs)
        return ops.AllReduce()(Tensor([1.0])).asnumpy()

    module.barrier = barrier_by_sum  # type: ignore[attr-defined]


def _pace_steps(module: ModuleType) -> None:
    """Let each step of a training begin with a pause of WORKLOAD_STEP_SECONDS, which its time takes in."""
    seconds = float(os.environ.get("WORKLOAD_STEP_SECONDS") or 0)
    cls = module.MFLossMonitor
    begin = cls.on_train_step_begin

    def begin_with_pause(self: Any, run_context: Any) -> None:
        begin(self, run_context)
        from mindspore import context  # noqa: PLC0415 - here, the program has imported it

        if context.get_context("device_target") == "CPU":
            time.sleep(seconds)

    if seconds:
        cls.on_train_step_begin = begin_with_pause


# Module -> what mends it once it has been loaded.
PATCHES: dict[str, Callable[[ModuleType], None]] = {
    "mindspore.communication.comm_func": _mend_barrier,
    "mindspore.nn.wrap.loss_scale": _mend_overflow_check,
    "mindformers.core.callback.callback": _pace_steps,
    "mindformers.generation.text_generator": _mend_greedy_choice,
}


class _PatchingLoader(importlib.abc.Loader):
    """Loads a module with its own loader, then applies the patch."""

    def __init__(self, loader: Any, patch: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._patch = patch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # get_source and others: MindSpore compiles from source

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._patch(module)


class _PatchFinder(importlib.abc.MetaPathFinder):
    """Finds the modules that have a patch; all others are none of its business."""

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in PATCHES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader, PATCHES[fullname])
        return spec


class _LeftOut(ModuleType):
    """Stands for a package that is not loaded, or a module of it: what is imported from it fails when it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_args: Any, **_kwargs: Any) -> Any:
            raise ImportError(f"WORKLOAD_WITHOUT leaves out {self.__name__}, which has {name}")

        return type(name, (), {"__init__": refuse})


class _LeavingOutFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds stand-ins for the packages that are left out."""

    def __init__(self, packages: set[str]) -> None:
        self._packages = packages

    def find_spec(self, fullname: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self._packages:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return _LeftOut(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def _run_shadowed_sitecustomize() -> None:
    """Run the sitecustomize that this one hides: the distribution's, or the virtual environment's."""
    rest = [entry for entry in sys.path if os.path.realpath(entry or ".") != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _PatchFinder())
if _without := os.environ.get("WORKLOAD_WITHOUT"):
    sys.meta_path.insert(0, _LeavingOutFinder(set(_without.split(","))))
_run_shadowed_sitecustomize()
