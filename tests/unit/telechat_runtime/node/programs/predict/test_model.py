# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Iterator

import pytest

from telechat_runtime.node.programs.predict import InputError
from telechat_runtime.node.programs.predict.model import check_checkpoint, model_classes, tree_folder

KERNELS = "MS_INTERNAL_DISABLE_CUSTOM_KERNEL_LIST"
CONFIG = "class TelechatConfig:\n    pass\n"


@pytest.fixture(autouse=True)
def _imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv(KERNELS, raising=False)
    before = set(sys.modules)
    yield
    os.environ.pop(KERNELS, None)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("folder", ["research/telechat2", "research/telechat2/telechat2-code"])
def test_the_folder_with_the_model_is_found(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder / "telechat_config.py", CONFIG)
    assert tree_folder(str(tmp_path)) == str(tmp_path / folder)


def test_a_tree_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"research/telechat2 has no telechat_config\.py"):
        tree_folder(str(tmp_path))


def test_a_tree_with_inference_classes_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "research/telechat2"
    write(folder / "telechat_config.py", CONFIG)
    write(folder / "infer/telechat.py", "class ParallelTelechatForCausalLM:\n    pass\n")
    config, model = model_classes(str(tmp_path))
    assert (config.__name__, model.__module__) == ("TelechatConfig", "research.telechat2.infer.telechat")


def test_the_first_published_layout(tmp_path: Path) -> None:
    folder = tmp_path / "research/telechat2"
    write(folder / "telechat_config.py", CONFIG)
    write(
        folder / "telechat.py",
        f"import os\nclass TelechatForCausalLM:\n    kernels = os.environ.get({KERNELS!r})\n",
    )
    config, model = model_classes(str(tmp_path))
    assert (config.__module__, model.kernels) == ("telechat_config", "InferenceMatmulSplit,PagedAttention")


@pytest.mark.parametrize("name", ["w.ckpt", "w.safetensors", "rank_0/w.ckpt"])
def test_folders_with_weights(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    check_checkpoint(str(tmp_path))
    if name == "w.ckpt":
        check_checkpoint(str(tmp_path / name))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    write(tmp_path / "deep/er/w.ckpt")
    with pytest.raises(InputError, match=r"holds no \.ckpt and no \.safetensors file"):
        check_checkpoint(str(tmp_path))
    with pytest.raises(InputError, match="gone is missing on"):
        check_checkpoint(str(tmp_path / "gone"))
