# SPDX-License-Identifier: Apache-2.0
"""With this folder on PYTHONPATH, MindFormers' training step runs on CPU.

Python imports this module at every start, so it imports next to nothing: a patch is applied when, and only if, the
program itself imports the module that it mends. A patch does nothing unless MindSpore's device target is CPU.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

_HERE = str(Path(__file__).parent)


def _mend_overflow_check(module):
    """Give TrainOneStepWithLossScaleCell an overflow check made of operators that CPU has."""
    cls = module.TrainOneStepWithLossScaleCell
    init = cls.__init__

    def init_with_cpu_check(self, *args, **kwargs):
        import cpu_overflow  # noqa: PLC0415 - imports MindSpore
        from mindspore import context  # noqa: PLC0415

        init(self, *args, **kwargs)
        if context.get_context("device_target") == "CPU":
            self.get_overflow_status = cpu_overflow.get_overflow_status.__get__(self)

    cls.__init__ = init_with_cpu_check


PATCHES = {"mindspore.nn.wrap.loss_scale": _mend_overflow_check}


class _PatchingLoader(importlib.abc.Loader):
    """Loads a module with its own loader, then applies the patch."""

    def __init__(self, loader, patch):
        self._loader = loader
        self._patch = patch

    def __getattr__(self, name):
        return getattr(self._loader, name)  # get_source and others: MindSpore compiles from source

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        self._patch(module)


class _PatchFinder(importlib.abc.MetaPathFinder):
    """Finds the modules that have a patch; all others are none of its business."""

    def find_spec(self, name, path=None, target=None):
        if name not in PATCHES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader, PATCHES[name])
        return spec


def _run_shadowed_sitecustomize():
    """Run the sitecustomize that this one hides: the distribution's, or the virtual environment's."""
    rest = [entry for entry in sys.path if str(Path(entry or ".").resolve()) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _PatchFinder())
_run_shadowed_sitecustomize()
