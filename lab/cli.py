# SPDX-License-Identifier: Apache-2.0
"""The lab's command line: `python3 -m lab`.

Exit codes: 0 done · 1 it failed · 2 usage · 130 interrupted; `exec` and `shell` pass on their command's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from typing import TYPE_CHECKING

from lab import artifacts, faults, files, fleet, kernels, network, power, recondition, requirements, ssh, states
from lab.cache import ensure_all
from lab.errors import LabError
from lab.layout import cache_root, find_lab
from lab.settings import DEFAULT_CHIPS, DEFAULT_HOSTS, find_host, require

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
MOST_LOSS = 100
_PRINTING = threading.Lock()


def report(line: str) -> None:
    """Tell the user how it goes; builders work side by side."""
    with _PRINTING:
        print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(prog="python3 -m lab", description="A fleet of Ascend servers on one machine.")
    top.add_argument("--name", help="which lab (default: LAB_NAME, then telechat); several can be up at once")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="bring the servers up; again: heal what is missing")
    up.add_argument("--hosts", type=int, help=f"number of servers (default {DEFAULT_HOSTS})")
    up.add_argument("--chips", type=int, help=f"NPUs of each server (default {DEFAULT_CHIPS})")
    up.add_argument(
        "--no-mindspore", action="store_true", help="without the MindSpore environment (3 GB, about 90 s, once)"
    )
    up.add_argument(
        "--light",
        action="store_true",
        help="servers without systemd and Docker, of which a machine holds hundreds (kept until `down`)",
    )
    up.add_argument("--off", action="store_true", help="make them, but boot none: `state` and another `up` do")
    commands.add_parser("down", help="remove them completely, whatever state they are in")
    status = commands.add_parser("status", help="show the servers")
    status.add_argument("--json", action="store_true", help="as data")
    shell = commands.add_parser("shell", help="a shell in a server, or one command: shell HOST -- CMD ...")
    shell.add_argument("host")
    shell.add_argument("argv", nargs="*", metavar="CMD")
    inside = commands.add_parser("exec", help="run a command of the control side in the servers' network")
    inside.add_argument("argv", nargs="+", metavar="CMD")
    _add_hardware_commands(commands)
    cache = commands.add_parser("cache", help="make what is slow to make, show where it is")
    cache.add_argument("--no-mindspore", action="store_true", help="without the MindSpore environment")
    needs = commands.add_parser("requirements", help="Debian packages that the lab needs on this machine")
    needs.add_argument("--missing", action="store_true", help="only those that are not there yet")
    return top


def _add_hardware_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fault = commands.add_parser("fault", help="break something of a server's hardware")
    fault.add_argument("host", nargs="?")
    fault.add_argument("fault", nargs="?", metavar="NAME[=VALUE]")
    fault.add_argument("--list", action="store_true", help="the faults there are")
    fault.add_argument("--clear", action="store_true", help="heal NAME, or everything")
    supply = commands.add_parser("power", help="take a server's power away as a power cut does, give it back")
    supply.add_argument("hosts", nargs="+", metavar="HOST")
    supply.add_argument("action", choices=("cut", "off", "on"), help="cut: off, and on again at once")
    link = commands.add_parser(
        "link", help="pull a server's network cable out, put it back, or a poor one in its place"
    )
    link.add_argument("hosts", nargs="+", metavar="HOST")
    link.add_argument("action", choices=("down", "up"))
    link.add_argument("--delay", type=float, default=0, metavar="MS", help="up: a cable that delays, each way")
    link.add_argument(
        "--loss", type=float, default=0, metavar="PERCENT", help="up: a cable that loses frames, each way"
    )
    kernel = commands.add_parser("kernel", help="install another kernel on a server's disk, or remove it")
    kernel.add_argument("host")
    kernel.add_argument("action", choices=("add", "remove"))
    kernel.add_argument("release", metavar="RELEASE", help="such as 6.1.0-99-amd64")
    kernel.add_argument("--no-headers", action="store_true", help="without the headers that modules are built with")
    state = commands.add_parser("state", help="put servers into a state of their HDK: state HOST... STATE")
    state.add_argument("words", nargs="*", metavar="HOST... STATE", help="or HOST=STATE for each server")
    state.add_argument("--list", action="store_true", help="the states there are")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        return COMMANDS[arguments.command](arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; run the same command again, or `python3 -m lab down`", file=sys.stderr)
        return INTERRUPTED


def _up(arguments: argparse.Namespace) -> int:
    requirements.check()
    lab = find_lab(arguments.name)
    changed = fleet.up(
        lab,
        hosts=arguments.hosts,
        chips=arguments.chips,
        mindspore=not arguments.no_mindspore,
        light=arguments.light,
        boot=not arguments.off,
        report=report,
    )
    print(lab.inventory / "hosts.yml" if changed else f"{lab.inventory / 'hosts.yml'} (no change)")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    requirements.check()
    lab = find_lab(arguments.name)
    if not fleet.down(lab, report):
        report(f"lab {lab.name}: there is none")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    facts = fleet.status(find_lab(arguments.name))
    if arguments.json:
        print(json.dumps(facts, indent=1))
        return 0
    print(f"lab {facts['name']}: {facts['inventory']}, file server {facts['server']} ({facts['url']})")
    for host in facts["hosts"]:
        broken = f", faults: {json.dumps(host['faults'])}" if host["faults"] else ""
        cable = f", cable {host['cable']}" if host["cable"] != "plugged" else ""
        print(f"  {host['name']:8} {host['address']:12} {host['state']}, boots: {host['boots']}{cable}{broken}")
    return 0


def _shell(arguments: argparse.Namespace) -> int:
    lab = find_lab(arguments.name)
    host = find_host(lab, arguments.host)
    return _become(ssh.argv(lab, host, arguments.argv))


def _exec(arguments: argparse.Namespace) -> int:
    lab = find_lab(arguments.name)
    require(lab)
    if not network.exists(lab.netns):
        raise LabError(f"lab {lab.name!r} has lost its network {lab.netns}: `python3 -m lab up` heals it")
    return _become(network.inside(lab.netns, arguments.argv))


def _become(argv: list[str]) -> int:
    """Become this command: its exit code, signals and terminal are then its own."""
    requirements.check()
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606 - argv lists need no shell


def _fault(arguments: argparse.Namespace) -> int:
    if arguments.list:
        print(faults.listing())
        return 0
    if arguments.host is None or not (arguments.fault or arguments.clear):
        raise LabError("fault: HOST and NAME[=VALUE] are needed, or --clear, or --list")
    host = find_host(find_lab(arguments.name), arguments.host)
    if arguments.clear:
        faults.heal(host, arguments.fault)
    else:
        faults.inject(host, arguments.fault)
    return 0


def _power(arguments: argparse.Namespace) -> int:
    requirements.check()
    lab = find_lab(arguments.name)
    hosts = [find_host(lab, name) for name in arguments.hosts]
    with files.locked(lab.lock):
        if arguments.action != "on":
            power.switch_off(lab, hosts)
        if arguments.action != "off":
            power.switch_on(lab, hosts, report)
    return 0


def _link(arguments: argparse.Namespace) -> int:
    requirements.check()
    lab = find_lab(arguments.name)
    if arguments.action == "down" and (arguments.delay or arguments.loss):
        raise LabError("link down: --delay and --loss are for a cable that carries something, `link HOST up`")
    if arguments.delay < 0 or not 0 <= arguments.loss <= MOST_LOSS:
        raise LabError(
            f"link: --delay {arguments.delay:g} ms is 0 or more, --loss {arguments.loss:g} is 0 to {MOST_LOSS} %"
        )
    for host in [find_host(lab, name) for name in arguments.hosts]:
        if arguments.action == "down":
            network.pull_out(lab, host)
        else:
            network.put_back(lab, host, delay=arguments.delay, loss=arguments.loss)
    return 0


def _kernel(arguments: argparse.Namespace) -> int:
    requirements.check()
    lab = find_lab(arguments.name)
    host = find_host(lab, arguments.host)
    if arguments.action == "add":
        kernels.add(lab, host, arguments.release, headers=not arguments.no_headers)
    else:
        kernels.remove(lab, host, arguments.release)
    report("`uname -r` stays what it is: a server of the lab runs this machine's kernel, whatever it has on its disk")
    return 0


def _state(arguments: argparse.Namespace) -> int:
    if arguments.list:
        print(states.listing())
        return 0
    requirements.check()
    lab = find_lab(arguments.name)
    wanted = {find_host(lab, host): state for host, state in _assignments(arguments.words)}
    recondition.recondition(lab, wanted, report)
    return 0


def _assignments(words: list[str]) -> list[tuple[str, str]]:
    """Return (host, state) of `HOST=STATE ...` or of `HOST... STATE`."""
    pairs = [word.partition("=") for word in words]
    if words and all(equals for _, equals, _ in pairs):
        return [(host, state) for host, _, state in pairs]
    if len(words) < 2 or any(equals for _, equals, _ in pairs):  # noqa: PLR2004 - a host and a state
        raise LabError("state: HOST... STATE, or HOST=STATE for each server, or --list")
    return [(host, words[-1]) for host in words[:-1]]


def _cache(arguments: argparse.Namespace) -> int:
    requirements.check()
    wanted = artifacts.wanted(with_mindspore=not arguments.no_mindspore)
    for path in ensure_all(cache_root(), wanted, report).values():
        print(path)
    return 0


def _requirements(arguments: argparse.Namespace) -> int:
    print(" ".join(requirements.packages(missing_only=arguments.missing)))
    return 0


COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "shell": _shell,
    "exec": _exec,
    "fault": _fault,
    "power": _power,
    "link": _link,
    "kernel": _kernel,
    "state": _state,
    "cache": _cache,
    "requirements": _requirements,
}
