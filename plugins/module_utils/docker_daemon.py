# SPDX-License-Identifier: Apache-2.0
"""How a host's dockerd is started, and what its configuration file has to hold beside the flags it is started with.

dockerd does not start when a setting is both a flag and a key of its configuration file, be the values the same
(docs.docker.com/engine/daemon/troubleshoot). openEuler, Kylin and EulerOS have flags in the unit's sysconfig file.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible.module_utils.command_result import Run
from ansible.module_utils.host_problem import Problem

# What dockerd takes from its configuration while it runs, by docs.docker.com/reference/cli/dockerd.
RELOADABLE = frozenset(
    {
        "debug",
        "default-runtime",
        "features",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)
# Keys of the file that are not called as their flag is (cmd/dockerd/config.go of moby).
_KEYS = {
    "add-runtime": "runtimes",
    "allow-nondistributable-artifact": "allow-nondistributable-artifacts",
    "authorization-plugin": "authorization-plugins",
    "cluster-store-opt": "cluster-store-opts",
    "default-address-pool": "default-address-pools",
    "default-network-opt": "default-network-opts",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "feature": "features",
    "host": "hosts",
    "insecure-registry": "insecure-registries",
    "label": "labels",
    "log-opt": "log-opts",
    "node-generic-resource": "node-generic-resources",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}
_LETTERS = {
    "D": "debug",
    "G": "group",
    "H": "host",
    "b": "bridge",
    "l": "log-level",
    "p": "pidfile",
    "s": "storage-driver",
}
# The word after these is not their value.
_SWITCHES = frozenset(
    {
        "bridge-accept-fwmark",
        "cri-containerd",
        "debug",
        "disable-legacy-registry",
        "experimental",
        "help",
        "icc",
        "init",
        "ip-forward",
        "ip-masq",
        "ip6tables",
        "iptables",
        "ipv6",
        "live-restore",
        "no-new-privileges",
        "raw-logs",
        "rootless",
        "selinux-enabled",
        "tls",
        "tlsverify",
        "userland-proxy",
        "validate",
        "version",
    }
)
_TRUE = ("true", "1", "t")
_DAEMON = "dockerd"
_RULE = "dockerd does not start when a setting is a flag and a key of daemon.json"


class Daemon(NamedTuple):
    """How dockerd is started: by the unit's command line, or by that of the process where there is no unit.

    `unit` is systemd's LoadState, empty where systemd gives no answer; `argv` is None where nobody knows the command
    line; `pid` is that of the running process; `flags` has the values of each flag by the key of the file.
    """

    unit: str
    argv: Optional[Tuple[str, ...]]
    pid: Optional[int]
    flags: Dict[str, List[str]]

    @property
    def has_unit(self) -> bool:
        """Whether systemd can start it."""
        return self.unit == "loaded"

    def config_path(self, default: str) -> str:
        """Return the file that it reads its configuration from."""
        return self.flags.get("config-file", [default])[-1]


class Settled(NamedTuple):
    """What the configuration file is to hold, and why it differs from what it holds."""

    config: Dict[str, Any]
    differing: Tuple[str, ...]
    repeated: Tuple[str, ...]
    problems: Tuple[Problem, ...]

    @property
    def needs_restart(self) -> bool:
        """Whether dockerd does not take the difference while it runs."""
        return not RELOADABLE.issuperset(self.differing)

    @property
    def reason(self) -> Optional[str]:
        """Why the file has to be written; None when it is as wished."""
        reasons = ["daemon.json differs in " + ", ".join(self.differing)] if self.differing else []
        if self.repeated:
            reasons.append("daemon.json repeats flags of the unit: " + ", ".join(self.repeated))
        return "; ".join(reasons) or None


def look(run: Run, service: str, root: str = "/") -> Daemon:
    """Ask systemd how the service is started, and /proc what runs."""
    properties = "LoadState,ExecStart,Environment,EnvironmentFiles"
    answer = run(["systemctl", "show", f"--property={properties}", service])
    said = [line.partition("=") for line in answer.stdout.splitlines() if "=" in line]
    pid, running = _running(root)
    argv = _started(said, root) if answer.rc == 0 else None
    if argv is None or os.path.basename(argv[0]) != _DAEMON:
        argv = running
    state = next((value for name, _, value in said if name == "LoadState"), "") if answer.rc == 0 else ""
    return Daemon(unit=state, argv=argv, pid=pid, flags=parse_flags(list(argv[1:])) if argv else {})


def settle(config: Dict[str, Any], wish: Dict[str, Any], daemon: Daemon) -> Settled:
    """Merge a wish into the configuration, without what the daemon's flags say already."""
    problems = [_unknown_flags()] if wish and daemon.argv is None and daemon.has_unit else []
    for key, value in sorted(wish.items()):
        if key in daemon.flags and not flag_covers(daemon.flags[key], value):
            problems.append(_contradiction(key, daemon.flags[key], value))
    both = sorted(key for key in config if key in daemon.flags)
    problems += [_repetition(key) for key in both if key not in wish and config[key] not in ({}, [], "", None)]
    repeated = tuple(key for key in both if key in wish)
    wanted = {key: value for key, value in wish.items() if key not in daemon.flags}
    kept = {key: value for key, value in config.items() if key not in repeated}
    differing = tuple(sorted(key for key, value in wanted.items() if not covers(config.get(key), value)))
    return Settled(merge(kept, wanted), differing, repeated, tuple(problems))


def _unknown_flags() -> Problem:
    return Problem(
        check="docker_engine_daemon_config",
        value="the unit does not start dockerd itself, and it does not run: nobody knows its flags",
        rule=_RULE,
        next_step="start the engine once by hand, or set docker_engine_daemon_config: {}",
    )


def _contradiction(key: str, given: List[str], wanted: Any) -> Problem:
    flag = next((name for name, other in _KEYS.items() if other == key), key)
    return Problem(
        check=f"docker_engine_daemon_config {key}",
        value=f"dockerd is started with --{flag}={','.join(given)}, wanted is {json.dumps(wanted)}",
        rule=_RULE,
        next_step="change the flag in the unit, its drop-in or its sysconfig file, or leave the key out",
    )


def _repetition(key: str) -> Problem:
    return Problem(
        check=f"daemon.json {key}",
        value="it is a flag of dockerd too",
        rule=_RULE,
        next_step="remove it from one of both: Docker does not come back from a reboot with it",
    )


def read_config(path: str) -> Tuple[Dict[str, Any], Optional[Problem]]:
    """Return the configuration in a file, empty where there is none, and what is wrong with the file."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        config = json.loads(text) if text.strip() else {}
    except FileNotFoundError:
        return {}, None
    except (OSError, ValueError) as error:
        config, value = None, str(error)
    else:
        value = "no object"
    if isinstance(config, dict):
        return config, None
    return {}, Problem(
        check=path, value=value, rule="Docker's configuration must be a JSON object", next_step="correct it by hand"
    )


def covers(have: Any, wanted: Any) -> bool:
    """Return whether merging ``wanted`` into ``have`` would change nothing."""
    if isinstance(have, dict) and isinstance(wanted, dict):
        return all(covers(have.get(key), value) for key, value in wanted.items())
    return bool(have == wanted)


def merge(have: Dict[str, Any], wanted: Dict[str, Any]) -> Dict[str, Any]:
    """Return ``have`` with ``wanted`` put in, objects key by key."""
    merged = dict(have)
    for key, value in wanted.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def flag_covers(given: List[str], wanted: Any) -> bool:
    """Return whether the values of a flag say what a key of the file would; false for what can't be compared."""
    if isinstance(wanted, bool):
        return (given[-1].lower() in _TRUE) == wanted
    if isinstance(wanted, list):
        return {str(value) for value in wanted} <= set(given)
    if isinstance(wanted, dict):
        pairs = dict(value.partition("=")[::2] for value in given)
        flat = {key: str(value) for key, value in wanted.items() if not isinstance(value, (dict, list))}
        return flat.keys() == wanted.keys() and flat.items() <= pairs.items()
    return given[-1] == str(wanted)


def parse_flags(words: List[str]) -> Dict[str, List[str]]:
    """Return the values of each flag of a dockerd command line, by the key that it has in the file."""
    flags = {}  # type: Dict[str, List[str]]
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word in ("-", "--"):
            continue
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
        else:
            name, has_value, value = _LETTERS.get(word[1], word[1]), word[2:], re.sub("^=", "", word[2:])
        if not has_value:
            takes_next = name not in _SWITCHES and bool(rest) and not rest[0].startswith("-")
            value = rest.pop(0) if takes_next else "true"
        flags.setdefault(_KEYS.get(name, name), []).append(value)
    return flags


def parse_environment_file(text: str) -> Dict[str, str]:
    """Return the variables of a file as EnvironmentFile= of systemd.exec(5) reads it."""
    variables = {}
    pending = ""
    for line in re.sub(r"\\\n", "", text).splitlines():
        if not pending and line.lstrip().startswith(("#", ";")):
            continue
        pending = f"{pending}\n{line}" if pending else line
        name, equals, value = (part.strip() for part in pending.partition("="))
        if value.startswith(("'", '"')):
            try:
                value = " ".join(shlex.split(value))
            except ValueError:
                continue  # It goes on in the next line.
        pending = ""
        if equals:
            variables[name] = value
    return variables


def expand(words: List[str], variables: Dict[str, str]) -> List[str]:
    """Put variables into a command line as systemd does: `$NAME` as words of its own, `${NAME}` within a word."""
    expanded = []
    for word in words:
        alone = re.fullmatch(r"\$([A-Za-z_]\w*)", word)
        if alone:
            expanded += _words(variables.get(alone.group(1), ""))
        else:
            text = re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match.group(1), ""), word)
            expanded.append(text.replace("$$", "$"))
    return expanded


def _started(said: List[Tuple[str, str, str]], root: str) -> Optional[Tuple[str, ...]]:
    """Return the command line of `systemctl show`, with the variables of its environment put in."""
    variables = {}  # type: Dict[str, str]
    words = []  # type: List[str]
    for name, _, value in said:
        if name == "Environment":
            variables.update(word.partition("=")[::2] for word in _words(value))
    for name, _, value in said:
        if name == "EnvironmentFiles":
            pattern = re.sub(r" \(ignore_errors=\w+\)$", "", value)
            for path in sorted(glob.glob(os.path.join(root, pattern.lstrip("/")))):
                variables.update(parse_environment_file(_read(path)))
        elif name == "ExecStart":
            match = re.search(r"argv\[\]=(.*?) ; ignore_errors=", value)
            words = _words(match.group(1)) if match else words
    expanded = expand(words, variables)
    return tuple(expanded) if expanded else None


def _running(root: str) -> Tuple[Optional[int], Optional[Tuple[str, ...]]]:
    for folder in sorted(glob.glob(os.path.join(root, "proc/[0-9]*")), key=lambda path: int(os.path.basename(path))):
        if _read(os.path.join(folder, "comm")).strip() == _DAEMON:
            words = _read(os.path.join(folder, "cmdline")).split("\0")
            # One in a container is the container's.
            if words[0] and _pid_namespace(folder) == _pid_namespace(os.path.join(root, "proc/self")):
                return int(os.path.basename(folder)), tuple(words[:-1])
    return None, None


def _pid_namespace(folder: str) -> Optional[str]:
    try:
        return os.readlink(os.path.join(folder, "ns/pid"))
    except OSError:
        return None


def _words(text: str) -> List[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
