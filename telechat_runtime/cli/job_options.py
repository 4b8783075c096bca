# SPDX-License-Identifier: Apache-2.0
"""Options that every command which runs a job has, and the running itself: plan, or launch and report."""

from __future__ import annotations

import functools
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional, Sequence, TypeVar

import click

from telechat_runtime.cli.options import declared_option, inventory_options, json_option
from telechat_runtime.cluster.inventory import InventoryOptions
from telechat_runtime.errors import ConfigError, UsageError
from telechat_runtime.job.options import (
    Flag,
    Group,
    JobOptions,
    declared_options,
    parse_override,
    parse_variable,
)
from telechat_runtime.training.shipped import ConfigSource

F = TypeVar("F", bound=Callable[..., Any])
POSITIVE = click.IntRange(min=1)
_MODES = ("inventory", "all_ranks", "dry_run", "as_json", "detach")
_FLAGS: Mapping[str, Flag] = {field.name: field.metadata["flag"] for field in fields(JobOptions)}


@dataclass(frozen=True)
class Request:
    """What the common options of a job's command ask for."""

    inventory: InventoryOptions
    options: JobOptions
    all_ranks: bool
    dry_run: bool
    as_json: bool
    detach: bool = False


def job_options(job_name: str, *, npus: str = "all", trains: bool = False) -> Callable[[F], Callable[..., Any]]:
    """Add the common options of jobs, the inventory's among them; the command gets them as one Request, `request`.

    `npus` says what is taken without --npus-per-node. One that `trains` has restarts, hangs and --detach too.
    """
    changes: Mapping[str, Mapping[str, Any]] = {
        "job_name": {"default": job_name, "show_default": True},
        "env": {"callback": lambda _context, _option, texts: tuple(parse_variable(text) for text in texts)},
        "npus_per_node": {"help": _FLAGS["npus_per_node"].help.format(npus=npus)},
    }
    training = declared_options(Group.RESTARTS, Group.HANGS) if trains else []
    common = declared_options(Group.PLACEMENT, Group.NAME, Group.TIME_LIMITS)
    declared = [*training, *common]

    def clicked(fields: Sequence[Field[Any]]) -> List[Callable[[Any], Any]]:
        return [declared_option(field, **changes.get(field.name, {})) for field in fields]

    every = [
        *clicked(training),
        *([detach_option] if trains else []),
        inventory_options,
        *clicked(common),
        all_ranks_option,
        _dry_run_option,
        json_option,
    ]

    def decorate(command: F) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(**values: Any) -> Any:
            options = JobOptions(**{field.name: values.pop(field.name) for field in declared})
            modes = {name: values.pop(name) for name in _MODES if name in values}
            return command(request=Request(options=options, **modes), **values)

        for option in reversed(every):
            wrapper = option(wrapper)
        return wrapper

    return decorate


def config_options(command: F) -> F:
    """Add --config and --set: the command gets `config_file`, for `config_source`, and `overrides`, for `Override`s."""
    for option in reversed(_CONFIG_OPTIONS):
        command = option(command)
    return command


def config_source(config_file: Optional[str], model: Optional[str]) -> Optional[ConfigSource]:
    """Return the yaml of --config, None for that of --model. Raises UsageError for both or none, or ConfigError."""
    if bool(config_file) == bool(model):
        raise UsageError("give either --config FILE or --model NAME")
    if not config_file:
        return None
    try:
        return ConfigSource(name=config_file, text=Path(config_file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"--config {config_file!r} can't be read: {reason}") from error


all_ranks_option = click.option(
    "--all-ranks", is_flag=True, help="Show the logs of all ranks; by default those of the first and the last."
)
detach_option = click.option(
    "-d",
    "--detach",
    is_flag=True,
    help="Start the job and leave it to its nodes, which stop it everywhere when one fails; see attach, jobs, stop.",
)
_dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Look at the nodes, show the exact command of each, and start nothing.",
)

_CONFIG_OPTIONS = (
    click.option(
        "--config",
        "config_file",
        metavar="FILE",
        envvar="TELECHAT_CONFIG",
        show_envvar=True,
        help="MindFormers yaml on this machine; each node gets a copy with the overrides.",
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        callback=lambda _context, _option, texts: tuple(parse_override(text) for text in texts),
        help="Override a key of the yaml, as runner_config.epochs=2; +KEY=VALUE adds one. May be repeated.",
    ),
)
