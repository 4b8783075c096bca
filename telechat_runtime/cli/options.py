# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, with Ansible's names and habits."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, Mapping, TypeVar

import click

from telechat_runtime.cluster.contract import DEFAULT_GROUP
from telechat_runtime.cluster.inventory import InventoryOptions
from telechat_runtime.errors import ExitCode, TelechatError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import Flag, JobOptions

F = TypeVar("F", bound=Callable[..., Any])
_HARD_EXIT_AT = 3


_INVENTORY_OPTIONS = (
    click.option(
        "-i",
        "--inventory",
        "sources",
        multiple=True,
        metavar="PATH",
        envvar="TELECHAT_INVENTORY",
        help="Inventory, as for ansible-playbook; may be repeated. Default: ANSIBLE_INVENTORY, then ansible.cfg.",
    ),
    click.option(
        "--group",
        default=DEFAULT_GROUP,
        show_default=True,
        envvar="TELECHAT_GROUP",
        show_envvar=True,
        help="Group of the inventory that makes the cluster.",
    ),
    click.option(
        "-l",
        "--limit",
        default="",
        metavar="PATTERN",
        envvar="TELECHAT_LIMIT",
        show_envvar=True,
        help="Only these hosts of the group, by an Ansible pattern; they get consecutive ranks of their own.",
    ),
    click.option("--vault-id", "vault_ids", multiple=True, metavar="ID", help="Handed to ansible-inventory."),
    click.option(
        "--vault-password-file",
        "vault_password_files",
        multiple=True,
        metavar="FILE",
        help="Handed to ansible-inventory.",
    ),
    click.option("-J", "--ask-vault-password", is_flag=True, help="Handed to ansible-inventory."),
)


def inventory_options(command: F) -> Callable[..., Any]:
    """Add the options that choose the nodes; the command gets them as one InventoryOptions, `inventory`."""

    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        own = {field.name: values.pop(field.name) for field in dataclasses.fields(InventoryOptions)}
        return command(inventory=InventoryOptions(**own), **values)

    for option in reversed(_INVENTORY_OPTIONS):
        wrapper = option(wrapper)
    return wrapper


json_option = click.option("--json", "as_json", is_flag=True, help="Write the result as one JSON document on stdout.")


def declared_option(field: dataclasses.Field[Any], **changes: Any) -> Callable[[Any], Any]:
    """Return the click option of a field of JobOptions; the command gets its value under the field's name."""
    flag: Flag = field.metadata["flag"]
    default = None if field.default is dataclasses.MISSING else field.default
    settings: Dict[str, Any] = {"help": flag.help, "metavar": flag.metavar, "default": default}
    if flag.kind is bool:
        settings["is_flag"] = True
    elif isinstance(default, tuple):
        settings.update(multiple=True)
    else:
        ranges = {int: click.IntRange, float: click.FloatRange}
        settings["type"] = ranges[flag.kind](min=flag.least) if flag.kind in ranges else flag.kind
        settings["show_default"] = default is not None
    if flag.variable:
        settings.update(envvar=flag.variable, show_envvar=True)
    return click.option(flag.name, field.name, **{**settings, **changes})


_DECLARED = {field.name: field for field in dataclasses.fields(JobOptions)}
grace_option = declared_option(_DECLARED["grace_seconds"])
out_of_service_option = declared_option(_DECLARED["out_of_service"])


def exit_with(errors: Mapping[str, TelechatError]) -> None:
    """Say why nodes gave no answer, and end the command with the first one's exit code; go on when all answered."""
    for error in errors.values():
        click.echo(f"telechat-run: error: {error}", err=True)
    if errors:
        click.get_current_context().exit(next(iter(errors.values())).exit_code)


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Turn Ctrl-C and SIGTERM into an Interrupt; the third one ends the program where it stands.

    SIGHUP keeps its own effect: who closes a terminal has not asked for the end of a job of days.
    """
    interrupt = Interrupt()

    def handle(_signal: int, _frame: object) -> None:
        if interrupt.request() >= _HARD_EXIT_AT:
            os._exit(ExitCode.INTERRUPTED)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handle) for number in signals}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
