# SPDX-License-Identifier: Apache-2.0
"""Writes docs/cli.md from the commands themselves: `python -m telechat_runtime.cli.reference > docs/cli.md`."""

from __future__ import annotations

import inspect
from typing import Iterator, List

import click

from telechat_runtime.cli.main import cli

_HEAD = """\
# telechat-run

Written by `python -m telechat_runtime.cli.reference`; a contract test compares it with the commands.

Every option with a variable in brackets can be set by that environment variable too; the command line wins.

## Exit codes

| code | meaning |
|---|---|
| 0 | It worked. |
| 1 | The job failed or was stopped by somebody; the report names the first node to fail and its reason. |
| 2 | The command line is wrong. |
| 3 | The inventory, the job's specification or the yaml is invalid. |
| 4 | A node can't be reached or trusted (host key), or its runtime, or what it keeps of a job, does not fit this \
telechat-run. |
| 5 | Preflight refused: a node is busy, its container does not run, a path is missing, a port is taken, no \
checkpoint came in time. |
| 130 | Interrupted. Nothing that was started runs on, unless a message names it. |

`doctor` alone has codes of its own for what it finds: 0 all is well, 1 a warning, 2 a failure. `nodes` shows a node
that can't be reached and ends with 0. A runtime that does not fit ends both with 4, as every other command: older than
this telechat-run (`playbooks/runtime.yml` brings this one, jobs run on), newer, or one whose answer lacks something.

The first Ctrl-C stops the job with its grace, the second without, the third leaves telechat-run at once. When
telechat-run itself dies, or its terminal is closed, the job goes on: `logs --follow` shows it, `stop` ends it.
With `--json` the result is one JSON document on stdout, and everything else goes to stderr;
[schemas/](schemas/README.md) describes it.
"""


def reference() -> str:
    """Return the reference of all commands as Markdown."""
    return _HEAD + "".join(_sections(cli, ["telechat-run"]))


def _sections(command: click.Command, path: List[str]) -> Iterator[str]:
    context = click.Context(command, info_name=path[-1])
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _sections(child, [*path, name])
        return
    yield f"\n## {' '.join(path)}\n\n"
    arguments = "".join(
        f" [{param.human_readable_name}]" for param in command.params if param.param_type_name == "argument"
    )
    yield f"`{' '.join(path)} [OPTIONS]{arguments}`\n\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    rows = [_row(param) for param in command.params if isinstance(param, click.Option)]
    if rows:
        yield "\n| option | meaning |\n|---|---|\n" + "".join(rows)


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if not option.is_flag:
        names += f" `{_value(option)}`"
    meaning = option.help or ""
    if option.show_default:
        meaning += f" Default: `{option.default}`."
    if option.envvar:
        meaning += f" [`{option.envvar}`]"
    return f"| {names} | {meaning} |\n"


def _value(option: click.Option) -> str:
    # Not click's own metavar: it differs from version to version.
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "\\|".join(str(choice) for choice in option.type.choices)
    return {"integer range": "NUMBER", "float range": "NUMBER"}.get(option.type.name, "TEXT")


if __name__ == "__main__":
    click.echo(reference(), nl=False)
