# SPDX-License-Identifier: Apache-2.0
"""What users ask of jobs of any kind, checked as far as it can be without looking at a node."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional, Tuple

from telechat_runtime.errors import SpecError
from telechat_runtime.typed_json import DocumentError, parse

_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([^\0]*)", re.DOTALL)
JOB_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
MODELS = ("7b", "35b", "115b", "39b-a12b")
# msrun's own default is 600 s; the TeleChat2 guide passes 300 for two servers.
DEFAULT_CLUSTER_TIMEOUT = 300
DEFAULT_GRACE_SECONDS = 10
DEFAULT_HEARTBEAT_TIMEOUT = 15
# Twenty usual steps, and at least ten minutes: writing a checkpoint of a large model takes some.
DEFAULT_HANG_FACTOR = 20.0
DEFAULT_HANG_FLOOR = 600
DEFAULT_RESTART_PAUSE = 10
_UNNAMED = "job"


@dataclass(frozen=True)
class Override:
    """One `--set`: a dotted key of the yaml and the text of its new value; `add` allows a key that is not there."""

    key: str
    value: str
    add: bool = False


@dataclass(frozen=True)
class JobOptions:
    """What can be asked of a job of any kind.

    A job hangs when no step has come for `hang_factor` times the usual step, but not before `hang_floor` seconds; a
    factor of 0 means that nobody looks. It takes all nodes, or the number of `nodes` that are fit, none of `exclude`.
    With `out_of_service` they may be out of service. Before the first of its restarts is a pause of `restart_pause`
    seconds, before each further one twice as long.
    """

    job_name: str
    env: Tuple[Tuple[str, str], ...] = ()
    npus_per_node: Optional[int] = None
    cluster_timeout: int = DEFAULT_CLUSTER_TIMEOUT
    grace_seconds: int = DEFAULT_GRACE_SECONDS
    heartbeat_timeout: int = DEFAULT_HEARTBEAT_TIMEOUT
    hang_factor: float = DEFAULT_HANG_FACTOR
    hang_floor: int = DEFAULT_HANG_FLOOR
    nodes: Optional[int] = None
    exclude: Tuple[str, ...] = ()
    out_of_service: bool = False
    max_restarts: int = 0
    restart_pause: int = DEFAULT_RESTART_PAUSE

    def __post_init__(self) -> None:
        if not JOB_NAME.fullmatch(self.job_name):
            raise SpecError(
                f"--job-name {self.job_name!r} is invalid: up to 32 small letters, digits and -, not starting with -"
            )

    def as_dict(self) -> Dict[str, Any]:
        """Return the options as data, secrets of `env` and all."""
        return {**asdict(self), "env": dict(self.env), "exclude": list(self.exclude)}


def job_options_of(document: Any) -> JobOptions:
    """Return the options that as_dict has written; what an older telechat-run did not write is as by default.

    Raises DocumentError when the document is not what as_dict writes.
    """
    values = {"job_name": _UNNAMED, **document} if isinstance(document, dict) else document
    if isinstance(document, dict) and isinstance(document.get("env"), dict):
        values["env"] = [list(variable) for variable in document["env"].items()]
    try:
        return parse(JobOptions, values)
    except SpecError as error:
        raise DocumentError(error.message) from error


def check_node_path(option: str, path: str) -> None:
    """Raise SpecError for the path of a node that is relative: nobody knows to what."""
    if path and not path.startswith("/"):
        raise SpecError(
            f"{option} {path!r} is a relative path",
            next_step="give the absolute path as the nodes (or their containers) see it",
        )


def parse_override(text: str) -> Override:
    """Read `a.b.c=value`; `+a.b.c=value` adds a key that the yaml does not have. Raises SpecError."""
    key, equals, value = text.partition("=")
    add = key.startswith("+")
    key = key[1:] if add else key
    if not equals or not key or any(not part for part in key.split(".")):
        raise SpecError(f"--set {text!r} has no key=value form", next_step="write --set runner_config.epochs=2")
    return Override(key=key, value=value, add=add)


def parse_variable(text: str) -> Tuple[str, str]:
    """Read an environment variable, `NAME=VALUE`. Raises SpecError."""
    found = _VARIABLE.fullmatch(text)
    if not found:
        raise SpecError(f"--env {text.partition('=')[0]!r} has no NAME=VALUE form")
    return found[1], found[2]
