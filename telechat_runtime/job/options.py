# SPDX-License-Identifier: Apache-2.0
"""What users ask of jobs of any kind, checked as far as it can be without looking at a node."""

from __future__ import annotations

import enum
import re
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Dict, List, Optional, Tuple

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


class Group(enum.Enum):
    """Which options stand together in the help, in this order."""

    PLACEMENT = enum.auto()
    NAME = enum.auto()
    TIME_LIMITS = enum.auto()
    # Of trainings only:
    RESTARTS = enum.auto()
    HANGS = enum.auto()


@dataclass(frozen=True)
class Flag:
    """How the command line gives an option: all that its click option and the reference are made of.

    `kind` is the type of one value, `least` the smallest of a number, `variable` the environment variable that sets it.
    """

    name: str
    group: Group
    help: str
    kind: type = int
    least: float = 1
    metavar: Optional[str] = None
    variable: Optional[str] = None


def _option(flag: Flag, **default: Any) -> Any:
    return field(metadata={"flag": flag}, **default)


@dataclass(frozen=True)
class JobOptions:
    """What can be asked of a job of any kind.

    A job hangs when no step has come for `hang_factor` times the usual step, but not before `hang_floor` seconds; a
    factor of 0 means that nobody looks. It takes all nodes, or the number of `nodes` that are fit, none of `exclude`.
    With `out_of_service` they may be out of service. Before the first of its restarts is a pause of `restart_pause`
    seconds, before each further one twice as long.
    """

    job_name: str = _option(
        Flag("--job-name", Group.NAME, "First part of the job id.", kind=str, variable="TELECHAT_JOB_NAME")
    )
    env: Tuple[Tuple[str, str], ...] = _option(
        Flag(
            "--env",
            Group.PLACEMENT,
            "Environment variable of the job, before telechat_env. May be repeated.",
            kind=str,
            metavar="NAME=VALUE",
        ),
        default=(),
    )
    npus_per_node: Optional[int] = _option(
        Flag(
            "--npus-per-node",
            Group.PLACEMENT,
            "Use the first N NPUs of each node. Default: {npus}.",
            variable="TELECHAT_NPUS_PER_NODE",
        ),
        default=None,
    )
    cluster_timeout: int = _option(
        Flag(
            "--cluster-timeout",
            Group.TIME_LIMITS,
            "Seconds that msrun waits for all workers to join.",
            variable="TELECHAT_CLUSTER_TIMEOUT",
        ),
        default=DEFAULT_CLUSTER_TIMEOUT,
    )
    grace_seconds: int = _option(
        Flag(
            "--grace",
            Group.TIME_LIMITS,
            "Seconds between SIGTERM and SIGKILL when a job is stopped.",
            least=0,
            variable="TELECHAT_GRACE",
        ),
        default=DEFAULT_GRACE_SECONDS,
    )
    heartbeat_timeout: int = _option(
        Flag(
            "--heartbeat-timeout",
            Group.TIME_LIMITS,
            "Seconds without a sign of life after which the nodes of a job give one of them up, and end it.",
            least=3,
            variable="TELECHAT_HEARTBEAT_TIMEOUT",
        ),
        default=DEFAULT_HEARTBEAT_TIMEOUT,
    )
    hang_factor: float = _option(
        Flag(
            "--hang-factor",
            Group.HANGS,
            "Stop the job as hanging when no step comes for NUMBER times as long as usual. 0 disables hang detection.",
            kind=float,
            least=0,
            variable="TELECHAT_HANG_FACTOR",
        ),
        default=DEFAULT_HANG_FACTOR,
    )
    hang_floor: int = _option(
        Flag(
            "--hang-floor",
            Group.HANGS,
            "But not before so many seconds: saving a checkpoint takes a while.",
            variable="TELECHAT_HANG_FLOOR",
        ),
        default=DEFAULT_HANG_FLOOR,
    )
    nodes: Optional[int] = _option(
        Flag(
            "--nodes",
            Group.PLACEMENT,
            "Run on so many of the nodes: the first that are free and healthy. Default: on all, or not at all.",
            metavar="NUMBER",
        ),
        default=None,
    )
    exclude: Tuple[str, ...] = _option(
        Flag("--exclude", Group.PLACEMENT, "Leave this node out. May be repeated.", kind=str, metavar="NODE"),
        default=(),
    )
    out_of_service: bool = _option(
        Flag(
            "--out-of-service",
            Group.PLACEMENT,
            "Run also on nodes that are out of service (telechat-run cordon, a fleet upgrade): to try them.",
            kind=bool,
        ),
        default=False,
    )
    max_restarts: int = _option(
        Flag(
            "--max-restarts",
            Group.RESTARTS,
            "Restart the job from its latest complete checkpoint, at most NUMBER times, when it fails with "
            "a transient error (docs/failures.md).",
            least=0,
            metavar="NUMBER",
            variable="TELECHAT_MAX_RESTARTS",
        ),
        default=0,
    )
    restart_pause: int = _option(
        Flag(
            "--restart-pause",
            Group.RESTARTS,
            "How long the first restart waits; each further one twice as long, up to five minutes.",
            least=0,
            metavar="SECONDS",
        ),
        default=DEFAULT_RESTART_PAUSE,
    )

    def __post_init__(self) -> None:
        if not JOB_NAME.fullmatch(self.job_name):
            raise SpecError(
                f"--job-name {self.job_name!r} is invalid: up to 32 small letters, digits and -, not starting with -"
            )

    def as_dict(self) -> Dict[str, Any]:
        """Return the options as data, secrets of `env` and all."""
        return {**asdict(self), "env": dict(self.env), "exclude": list(self.exclude)}


def declared_options(*groups: Group) -> List[Field[Any]]:
    """Return the fields of JobOptions in these groups, as the help shows them; `metadata["flag"]` is the Flag."""
    return [each for group in groups for each in fields(JobOptions) if each.metadata["flag"].group is group]


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
