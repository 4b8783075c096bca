# SPDX-License-Identifier: Apache-2.0
"""`telechat-run node …`: the node protocol for whoever looks for it; the control side gets there without click."""

from __future__ import annotations

from typing import Tuple

import click

from telechat_runtime.node import protocol


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def node(context: click.Context, words: Tuple[str, ...]) -> None:
    """Do one step of the node protocol on this node; the other commands call these (--help lists them)."""
    context.exit(protocol.main(words))
