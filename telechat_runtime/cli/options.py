# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, with Ansible's names and habits."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping, TypeVar

import click

from telechat_runtime.cluster.inventory import InventoryOptions
from telechat_runtime.cluster.topology import DEFAULT_GROUP
from telechat_runtime.errors import ExitCode, TelechatError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import DEFAULT_GRACE_SECONDS

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


grace_option = click.option(
    "--grace",
    type=click.IntRange(min=0),
    default=DEFAULT_GRACE_SECONDS,
    show_default=True,
    envvar="TELECHAT_GRACE",
    show_envvar=True,
    help="Seconds between SIGTERM and SIGKILL when a job is stopped.",
)


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
