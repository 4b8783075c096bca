# SPDX-License-Identifier: Apache-2.0
"""Trains what a MindFormers yaml describes: the entry program for MindFormers wheels that ship no `run_mindformer.py`.

A copy of this file lies in a job's work folder and msrun starts it as the script of every worker. So it stands alone:
no import of this package, MindFormers only where it is used. Its options are some of those of the TeleChat2 tree's own
`run_mindformer.py`.

Exit codes: 0 trained to the end, 1 the training failed (the traceback is MindFormers'), 2 wrong options, 3 unusable
yaml or missing file.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Dict, List, Optional

_CONFIG_INVALID = 3
# MindFormerConfig reads nothing from a file with another name, and says nothing.
_SUFFIXES = (".yaml", ".yml")
_MODES = ("train", "finetune")
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")
# Which key of the yaml an option sets.
_KEYS = {
    "run_mode": "run_mode",
    "train_dataset_dir": "train_dataset.data_loader.dataset_dir",
    "load_checkpoint": "load_checkpoint",
    "src_strategy_path_or_dir": "src_strategy_path_or_dir",
    "auto_trans_ckpt": "auto_trans_ckpt",
    "resume_training": "resume_training",
    "use_parallel": "use_parallel",
    "output_dir": "output_dir",
    "device_target": "context.device_target",
    "epochs": "runner_config.epochs",
    "batch_size": "runner_config.batch_size",
    "seed": "seed",
}
# Keys whose value is a path that has to be there before anything starts; empty means none.
_INPUTS = ("train_dataset.data_loader.dataset_dir", "load_checkpoint", "src_strategy_path_or_dir")


class ConfigError(Exception):
    """The yaml, or a file that it names, can't be used."""


def parse_options(argv: Optional[List[str]] = None) -> argparse.Namespace:
    """Read the command line; an option that is not given is None. Exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="run_mindformer.py", description="Train what a MindFormers yaml describes.", allow_abbrev=False
    )
    parser.add_argument("--config", required=True, help="MindFormers yaml")
    parser.add_argument("--run_mode", choices=_MODES)
    parser.add_argument("--train_dataset_dir", help="MindRecord file, or folder with such files")
    parser.add_argument("--load_checkpoint", help="checkpoint file or folder to start from")
    parser.add_argument("--src_strategy_path_or_dir", help="strategy files of that checkpoint")
    parser.add_argument("--auto_trans_ckpt", type=_boolean, metavar="BOOL")
    parser.add_argument("--resume_training", type=_boolean, metavar="BOOL")
    parser.add_argument("--use_parallel", type=_boolean, metavar="BOOL")
    parser.add_argument("--output_dir")
    parser.add_argument("--device_target", choices=("Ascend", "CPU"))
    parser.add_argument("--epochs", type=_positive)
    parser.add_argument("--batch_size", type=_positive)
    parser.add_argument("--seed", type=_not_negative)
    return parser.parse_args(argv)


def load_yaml(path: str) -> Dict[str, Any]:
    """Return the mapping that a yaml file holds. Raises ConfigError when there is none."""
    try:
        import yaml  # noqa: PLC0415 - comes with MindFormers
    except ModuleNotFoundError as error:
        raise ConfigError(f"{sys.executable} has no PyYAML, which comes with MindFormers") from error
    if not path.endswith(_SUFFIXES):
        raise ConfigError(f"{path}: the name of a MindFormers yaml ends in .yaml or .yml")
    try:
        with open(path, encoding="utf-8") as file:
            document = yaml.safe_load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no yaml: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds a {type(document).__name__}; a MindFormers yaml is a mapping")
    return document


def check_mode(document: Dict[str, Any]) -> None:
    """Raise ConfigError for a yaml that isn't made for training: MindFormers completes it by its own `run_mode`."""
    mode = document.get("run_mode")
    if mode not in _MODES:
        raise ConfigError(f"run_mode is {mode!r} in the yaml; this program trains (run_mode: {' or '.join(_MODES)})")


def override(config: Dict[str, Any], options: argparse.Namespace) -> None:
    """Set in a config what the command line gives. Raises ConfigError for a section that is no mapping."""
    for option, key in _KEYS.items():
        value = getattr(options, option)
        if value is None:
            continue
        *sections, name = key.split(".")
        section = config
        for part in sections:
            section = section.setdefault(part, type(config)())
            if not isinstance(section, dict):
                raise ConfigError(f"--{option} sets {key}, but {part} is no mapping in the yaml")
        section[name] = value


def check_inputs(document: Dict[str, Any]) -> None:
    """Raise ConfigError for a missing input, which MindFormers would find out late and tell in a traceback."""
    for key in _INPUTS:
        path = _value(document, key)
        if path and not os.path.exists(str(path)):
            raise ConfigError(f"{key}: {path} is missing on {os.uname().nodename}")


def train(options: argparse.Namespace) -> None:
    """Train. Raises ConfigError for a yaml that MindFormers refuses, or when there is no MindFormers."""
    try:
        from mindformers import Trainer, build_context  # noqa: PLC0415 - 5 s, and not needed to refuse bad input
        from mindformers.tools.register import MindFormerConfig  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(f"{sys.executable} has no {error.name}: MindSpore and MindFormers are needed") from error
    try:
        config = MindFormerConfig(options.config)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{options.config}: {error.args[0] if error.args else error}") from error
    override(config, options)
    build_context(config)
    # Not Trainer.finetune: that one forgets load_checkpoint unless it is given a second time.
    Trainer(config).train()


def main(argv: Optional[List[str]] = None) -> int:
    """Train and return the exit code."""
    options = parse_options(argv)
    try:
        document = load_yaml(options.config)
        check_mode(document)
        override(document, options)
        check_inputs(document)
        train(options)
    except ConfigError as error:
        sys.stderr.write(f"run_mindformer.py: error: {error}\n")
        return _CONFIG_INVALID
    return 0


def _value(document: Dict[str, Any], key: str) -> Any:
    value: Any = document
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _boolean(text: str) -> bool:
    if text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")


def _positive(text: str) -> int:
    return _at_least(1, text)


def _not_negative(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
