# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, with Ansible's names and habits."""

from __future__ import annotations

import functools
import os
import signal
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Tuple, TypeVar

import click

from telechat_runtime.interrupt import Interrupt
from telechat_runtime.inventory import InventoryOptions
from telechat_runtime.topology import DEFAULT_GROUP

F = TypeVar("F", bound=Callable[..., Any])
_HARD_EXIT_AT = 3
_INTERRUPTED = 130


def inventory_options(command: F) -> Callable[..., Any]:
    """Add the options that choose the nodes; the command gets them as one InventoryOptions, `inventory`."""

    @click.option(
        "-i",
        "--inventory",
        "sources",
        multiple=True,
        metavar="PATH",
        envvar="TELECHAT_INVENTORY",
        help="Inventory, as for ansible-playbook; may be repeated. Default: ANSIBLE_INVENTORY, then ansible.cfg.",
    )
    @click.option(
        "--group",
        default=DEFAULT_GROUP,
        show_default=True,
        envvar="TELECHAT_GROUP",
        show_envvar=True,
        help="Group of the inventory that makes the cluster.",
    )
    @click.option(
        "-l",
        "--limit",
        default="",
        metavar="PATTERN",
        envvar="TELECHAT_LIMIT",
        show_envvar=True,
        help="Only these hosts of the group, by an Ansible pattern; they get consecutive ranks of their own.",
    )
    @click.option("--vault-id", "vault_ids", multiple=True, metavar="ID", help="Handed to ansible-inventory.")
    @click.option(
        "--vault-password-file", "vault_files", multiple=True, metavar="FILE", help="Handed to ansible-inventory."
    )
    @click.option("-J", "--ask-vault-password", is_flag=True, help="Handed to ansible-inventory.")
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        sources: Tuple[str, ...],
        group: str,
        limit: str,
        vault_ids: Tuple[str, ...],
        vault_files: Tuple[str, ...],
        ask_vault_password: bool,
        **kwargs: Any,
    ) -> Any:
        inventory = InventoryOptions(
            sources=sources,
            group=group,
            limit=limit,
            vault_ids=vault_ids,
            vault_password_files=vault_files,
            ask_vault_password=ask_vault_password,
        )
        return command(*args, inventory=inventory, **kwargs)

    return wrapper


json_option = click.option("--json", "as_json", is_flag=True, help="Write the result as one JSON document on stdout.")


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into an Interrupt; the third one ends the program where it stands."""
    interrupt = Interrupt()

    def handle(_signal: int, _frame: object) -> None:
        if interrupt.request() >= _HARD_EXIT_AT:
            os._exit(_INTERRUPTED)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in signals}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
