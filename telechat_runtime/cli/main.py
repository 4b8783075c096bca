# SPDX-License-Identifier: Apache-2.0
"""The entry point of `telechat-run`; each command's module is imported when the command is used."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Dict, List, Mapping, Optional, Tuple

import click

from telechat_runtime import __version__, wire_log
from telechat_runtime.cli.verbose import add_verbosity
from telechat_runtime.errors import ExitCode, TelechatError


class LazyGroup(click.Group):
    """A group that knows its commands' modules and help lines, so that --help and node commands start fast."""

    def __init__(self, *args: Any, lazy: Optional[Mapping[str, Tuple[str, str]]] = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy: Dict[str, Tuple[str, str]] = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> List[str]:
        """Return the commands in the order in which they were declared."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """Import the module of a command and return the command of the same name in it."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _ = self._lazy[cmd_name]
        command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{cmd_name} is no click command")
        if cmd_name != "node":  # whose words are those of the node protocol
            add_verbosity(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for; the log, if there is one, gets its error too."""
        try:
            return super().invoke(ctx)
        except TelechatError as error:
            wire_log.note("control", "ends with exit code %d: %s", error.exit_code, error)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in self._lazy.items()])


@click.group(
    cls=LazyGroup,
    lazy={
        "predict": ("telechat_runtime.cli.predict", "Let a model answer questions."),
        "finetune": ("telechat_runtime.cli.finetune", "Finetune a model on all nodes of the inventory."),
        "preprocess": ("telechat_runtime.cli.preprocess", "Make training data of JSONL files."),
        "convert": ("telechat_runtime.cli.convert", "Convert a checkpoint from one parallel layout to another."),
        "merge-lora": ("telechat_runtime.cli.merge_lora", "Merge LoRA weights into the model they were trained on."),
        "nodes": ("telechat_runtime.cli.nodes", "Show the cluster: ranks, addresses, NPUs, service."),
        "cordon": ("telechat_runtime.cli.cordon", "Take nodes out of service."),
        "uncordon": ("telechat_runtime.cli.cordon", "Put nodes in service again."),
        "status": ("telechat_runtime.cli.status", "Show who holds the nodes, and their jobs."),
        "jobs": ("telechat_runtime.cli.jobs", "List the jobs of all nodes."),
        "attach": ("telechat_runtime.cli.attach", "Watch a job that runs already."),
        "check": ("telechat_runtime.cli.check", "Run MindSpore's and MindFormers' own checks on all nodes."),
        "show": ("telechat_runtime.cli.show", "Show the record of a job."),
        "diff": ("telechat_runtime.cli.show", "Show how two jobs differ."),
        "replay": ("telechat_runtime.cli.replay", "Run a job again, by its record."),
        "doctor": ("telechat_runtime.cli.doctor", "Examine all nodes: containers, chips, versions, kernels."),
        "logs": ("telechat_runtime.cli.logs", "Show a job's logs."),
        "stop": ("telechat_runtime.cli.stop", "Stop a job on all nodes."),
        "sweep": ("telechat_runtime.cli.sweep", "Find and remove what dead jobs have left."),
        "node": ("telechat_runtime.cli.node", "Commands that run on a node (used by the others)."),
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, prog_name="telechat-run")
def cli() -> None:
    """Run TeleChat2's MindFormers jobs on all Ascend servers of an Ansible inventory."""


add_verbosity(cli)


def main() -> None:
    """Run the command line and exit with a documented code: a user's mistake gets a message, never a traceback."""
    try:
        code = cli.main(prog_name="telechat-run", standalone_mode=False)
    except TelechatError as error:
        click.echo(f"telechat-run: error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("telechat-run: interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)
