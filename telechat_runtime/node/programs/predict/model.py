# SPDX-License-Identifier: Apache-2.0
"""Builds the model of a yaml and loads its weights, from the TeleChat2 tree or from the installed MindFormers."""

from __future__ import annotations

import glob
import importlib
import os
import sys
from typing import Any, List, Tuple

from telechat_runtime.node.programs.predict import InputError

RESEARCH = "research/telechat2"
_CONFIG_MODULE = "telechat_config.py"
# Parameters that no checkpoint holds: the KV cache is filled while generating.
_NOT_WEIGHTS = ("key_cache", "value_cache")
_SUFFIXES = (".ckpt", ".safetensors")
_WRONG_SHAPE = "should have the same shape"


def tree_folder(tree: str) -> str:
    """Return the folder of the tree that holds TeleChat2's model classes. Raises InputError when there is none."""
    root = os.path.join(tree, RESEARCH)
    for folder in (root, *sorted(glob.glob(os.path.join(glob.escape(root), "*")))):
        if os.path.isfile(os.path.join(folder, _CONFIG_MODULE)):
            return folder
    raise InputError(f"{root} has no {_CONFIG_MODULE}: the tree holds no TeleChat2 model")


def model_classes(tree: str) -> Tuple[Any, Any]:
    """Return configuration and model class, those that the tree's own predict script of the same version takes."""
    folder = tree_folder(tree)
    if os.path.isfile(os.path.join(folder, "infer", "telechat.py")):
        package = os.path.relpath(folder, tree).replace(os.sep, ".")
        if tree not in sys.path:
            sys.path.insert(0, tree)
        config = importlib.import_module(f"{package}.telechat_config")
        return config.TelechatConfig, importlib.import_module(f"{package}.infer.telechat").ParallelTelechatForCausalLM
    # The first published version: modules side by side, and a kernel list that its script sets before all else.
    os.environ.setdefault("MS_INTERNAL_DISABLE_CUSTOM_KERNEL_LIST", "InferenceMatmulSplit,PagedAttention")
    sys.path.insert(0, folder)
    config = importlib.import_module("telechat_config")
    return config.TelechatConfig, importlib.import_module("telechat").TelechatForCausalLM


def check_checkpoint(path: str) -> None:
    """Raise InputError for a folder without weights, be they in it or in folders of its ranks."""
    if os.path.isdir(path):
        folder = glob.escape(path)
        if not any(glob.glob(f"{folder}/{name}{suffix}") for name in ("*", "rank_*/*") for suffix in _SUFFIXES):
            raise InputError(f"{path} holds no {' and no '.join(_SUFFIXES)} file, nor do folders rank_N in it")
    elif not os.path.isfile(path):
        raise InputError(f"{path} is missing on {os.uname().nodename}")


def load_model(path: str, tree: str) -> Any:
    """Return the model that the yaml describes, with its weights.

    Raises InputError for a yaml that MindFormers refuses, or a checkpoint that lacks weights of the model.
    """
    try:
        from mindformers import build_context  # noqa: PLC0415 - seconds, and not needed to refuse bad input
        from mindformers.core.parallel_config import build_parallel_config  # noqa: PLC0415
        from mindformers.tools.register import MindFormerConfig  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InputError(f"{sys.executable} has no {error.name}: MindSpore and MindFormers are needed") from error
    try:
        config = MindFormerConfig(path)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error.args[0] if error.args else error}") from error
    build_context(config)
    build_parallel_config(config)
    model = _tree_model(config, tree) if tree else _installed_model(config)
    if config.load_checkpoint:
        _load(config, model)
    model.set_train(mode=False)
    return model


def _tree_model(config: Any, tree: str) -> Any:
    configuration, model = model_classes(tree)
    settings = config.model.model_config
    settings.parallel_config = config.parallel_config
    settings.moe_config = config.moe_config
    return model(configuration(**settings))


def _installed_model(config: Any) -> Any:
    from mindformers.models.build_model import build_network  # noqa: PLC0415

    sizes = {"parallel_config": config.parallel_config, "moe_config": config.moe_config}
    return build_network(config.model, default_args=sizes)


def _load(config: Any, model: Any) -> None:
    from mindformers.trainer import utils as trainer  # noqa: PLC0415
    from mindspore import Model  # noqa: PLC0415

    if not config.get("use_legacy", True) and hasattr(model, "load_weights"):
        model.load_weights(config.load_checkpoint)  # which itself refuses what it does not find
        return
    missing: List[str] = []
    load = trainer.load_param_into_net

    def load_and_note(network: Any, weights: Any, *words: Any, **options: Any) -> Any:
        # MindFormers only logs what it did not find, and the model then answers with random weights.
        answer = load(network, weights, *words, **options)
        missing.extend(name for name in answer[0] if not name.rsplit(".", 1)[-1].startswith(_NOT_WEIGHTS))
        return answer

    trainer.load_param_into_net = load_and_note
    try:
        trainer.transform_and_load_checkpoint(config, Model(model), model, _layout_input(model), do_predict=True)
    except RuntimeError as error:
        if _WRONG_SHAPE not in str(error):
            raise
        why = " ".join(str(error).split())
        raise InputError(f"the checkpoint {config.load_checkpoint} is of another model or layout: {why}") from error
    finally:
        trainer.load_param_into_net = load
    if missing:
        raise InputError(
            f"the checkpoint {config.load_checkpoint} lacks {len(missing)} weights of the model, {missing[0]} first: "
            "it is of another model, or sharded for another layout"
        )


def _layout_input(model: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    shape = (model.config.batch_size, model.config.seq_length)
    return model.prepare_inputs_for_predict_layout(np.ones(shape, dtype=np.int32))
