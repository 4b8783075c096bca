# SPDX-License-Identifier: Apache-2.0
"""`--verbose` and `--log-file`, before or after the name of any command: what happens on the way to the nodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional

import click

from telechat_runtime import __version__, wire_log
from telechat_runtime.errors import UsageError

LOG_FILE = "TELECHAT_LOG_FILE"
_PRIVATE = 0o600
_LOGGERS = ("telechat-run", "paramiko")
_VERBOSITY, _FILE = (f"{__name__}.{name}" for name in ("verbosity", "file"))
# -v shows the product's own lines, -vv also those of the SSH library.
_WITH_SSH_LIBRARY = 2


def add_verbosity(command: click.Command) -> None:
    """Give a command the options, unless it has them."""
    if not any(parameter.name == "verbose" for parameter in command.params):
        command.params += [
            click.Option(
                ["-v", "--verbose"],
                count=True,
                expose_value=False,
                callback=_on_verbose,
                help="Show on stderr what happens on the way to the nodes: inventory, connections, commands, retries. "
                "Twice: also the SSH library's own log.",
            ),
            click.Option(
                ["--log-file"],
                metavar="FILE",
                envvar=LOG_FILE,
                expose_value=False,
                callback=_on_log_file,
                help="Append the same, with the SSH library's log, to a file that only you may read.",
            ),
        ]


def verbosity_words() -> List[str]:
    """Return the options that let another telechat-run, started by this one, log as this one does."""
    meta = click.get_current_context().meta
    file = meta.get(_FILE)
    return [*(["--verbose"] * meta.get(_VERBOSITY, 0)), *(["--log-file", file] if file else [])]


def _on_verbose(context: click.Context, _parameter: click.Parameter, count: int) -> None:
    if count:
        context.meta[_VERBOSITY] = context.meta.get(_VERBOSITY, 0) + count
        _start(context)


def _on_log_file(context: click.Context, _parameter: click.Parameter, file: Optional[str]) -> None:
    if file and str(Path(file).absolute()) != context.meta.get(_FILE):
        context.meta[_FILE] = str(Path(file).absolute())
        _start(context)


def _start(context: click.Context) -> None:
    """Let logging write what is asked for by now; imported here, since most commands run without."""
    import logging  # noqa: PLC0415

    _close()

    class Masking(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return wire_log.without_secrets(super().format(record))

    handlers: List[logging.Handler] = []
    verbosity, file = context.meta.get(_VERBOSITY, 0), context.meta.get(_FILE)
    if verbosity:
        shown = logging.StreamHandler()
        shown.setFormatter(Masking("%(asctime)s.%(msecs)03d %(name)s: %(message)s", "%H:%M:%S"))
        if verbosity < _WITH_SSH_LIBRARY:
            shown.addFilter(logging.Filter(_LOGGERS[0]))
        handlers.append(shown)
    if file:
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _PRIVATE))
            kept = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"--log-file {file} can't be written: {error.strerror}", next_step="name a file that you may write"
            ) from error
        kept.setFormatter(Masking("%(asctime)s.%(msecs)03d %(process)d %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"))
        handlers.append(kept)
    # A log that can't be written must not put tracebacks between a job's lines.
    logging.raiseExceptions = False
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = list(handlers), False
        logger.setLevel(logging.DEBUG)
    wire_log.listen(lambda area, text: logging.getLogger(f"telechat-run.{area}").debug("%s", text))
    context.find_root().call_on_close(_close)
    wire_log.note("control", "telechat-run %s, %s", __version__, context.command_path)


def _close() -> None:
    """Close the log: what comes after a command in the same process is not its own."""
    import logging  # noqa: PLC0415

    wire_log.listen(None)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for handler in logger.handlers:
            handler.close()
        logger.handlers = [logging.NullHandler()]
