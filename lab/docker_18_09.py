#!/usr/bin/python3 -IS
# SPDX-License-Identifier: Apache-2.0
"""Docker's client with the options of 18.09, the version that openEuler 22.03, Kylin V10 and EulerOS install.

Refuses what 18.09 does not know, with its words and its exit code, and starts the real client for everything else. The
options are those of docker/cli v18.09.9 (docs/reference/commandline/*.md, contrib/completion/bash/docker), for the
commands that the roles, telechat-run and the tests use. A lab host takes this file as it stands.
"""

from __future__ import annotations

import os
import sys

CLIENT = "/usr/bin/docker"
VERSION = "Docker version 18.09.9, build 039a7df"
UNKNOWN_FLAG = 125

# By command: long options, those with a value end in "=". Docker's own are those before the command.
OPTIONS = {
    "": "config= debug help host= log-level= tls tlscacert= tlscert= tlskey= tlsverify version",
    "build": "add-host= build-arg= cache-from= cgroup-parent= compress cpu-period= cpu-quota= cpu-shares= cpuset-cpus= "
    "cpuset-mems= disable-content-trust file= force-rm help iidfile= isolation= label= memory= memory-swap= network= "
    "no-cache pull progress= quiet rm secret= security-opt= shm-size= squash ssh= tag= target= ulimit=",
    "container inspect": "format= help size",
    "exec": "detach detach-keys= env= help interactive privileged tty user= workdir=",
    "image inspect": "format= help",
    "images": "all digests filter= format= help no-trunc quiet",
    "import": "change= help message=",
    "info": "format= help",
    "inspect": "format= help size type=",
    "load": "help input= quiet",
    "ps": "all filter= format= help last= latest no-trunc quiet size",
    "pull": "all-tags disable-content-trust help",
    "restart": "help time=",
    "rm": "force help link volumes",
    "rmi": "force help no-prune",
    "run": "add-host= attach= blkio-weight= blkio-weight-device= cap-add= cap-drop= cgroup-parent= cidfile= "
    "cpu-period= cpu-quota= cpu-rt-period= cpu-rt-runtime= cpu-shares= cpus= cpuset-cpus= cpuset-mems= detach "
    "detach-keys= device= device-cgroup-rule= device-read-bps= device-read-iops= device-write-bps= device-write-iops= "
    "disable-content-trust dns= dns-option= dns-search= entrypoint= env= env-file= expose= group-add= health-cmd= "
    "health-interval= health-retries= health-start-period= health-timeout= help hostname= init interactive ip= ip6= "
    "ipc= isolation= kernel-memory= label= label-file= link= link-local-ip= log-driver= log-opt= mac-address= memory= "
    "memory-reservation= memory-swap= memory-swappiness= mount= name= network= network-alias= no-healthcheck "
    "oom-kill-disable oom-score-adj= pid= pids-limit= privileged publish= publish-all read-only restart= rm runtime= "
    "security-opt= shm-size= sig-proxy stop-signal= stop-timeout= storage-opt= sysctl= tmpfs= tty ulimit= user= "
    "userns= uts= volume= volume-driver= volumes-from= workdir=",
    "save": "help output=",
    "start": "attach detach-keys= help interactive",
    "stop": "help time=",
    "tag": "help",
    "update": "blkio-weight= cpu-period= cpu-quota= cpu-rt-period= cpu-rt-runtime= cpu-shares= cpus= cpuset-cpus= "
    "cpuset-mems= help kernel-memory= memory= memory-reservation= memory-swap= restart=",
    "version": "format= help kubeconfig=",
}
LETTERS = {
    "": "D:debug H:host l:log-level v:version",
    "build": "c:cpu-shares f:file m:memory q:quiet t:tag",
    "container inspect": "f:format s:size",
    "exec": "d:detach e:env i:interactive t:tty u:user w:workdir",
    "image inspect": "f:format",
    "images": "a:all f:filter q:quiet",
    "import": "c:change m:message",
    "info": "f:format",
    "inspect": "f:format s:size",
    "load": "i:input q:quiet",
    "ps": "a:all f:filter n:last l:latest q:quiet s:size",
    "pull": "a:all-tags",
    "restart": "t:time",
    "rm": "f:force l:link v:volumes",
    "rmi": "f:force",
    "run": "a:attach c:cpu-shares d:detach e:env h:hostname i:interactive l:label m:memory p:publish P:publish-all "
    "t:tty u:user v:volume w:workdir",
    "save": "o:output",
    "start": "a:attach i:interactive",
    "stop": "t:time",
    "update": "c:cpu-shares m:memory",
    "version": "f:format",
}
_NOUNS = ("container", "image")
# Their own arguments may look like options.
_COMMAND_FOLLOWS = ("exec", "run")


def refusal(words: list[str]) -> str | None:
    """Return what Docker 18.09 says against the words of a command line; None when it takes them."""
    said = _unknown_option("", words)
    if said or not words or words[0].startswith("-"):
        return said
    count = 2 if words[0] in _NOUNS else 1
    command = " ".join(words[:count])
    if command not in OPTIONS:
        return f"docker: '{command}' is not a docker command.\nSee 'docker --help'"
    return _unknown_option(command, words[count:])


def _unknown_option(command: str, words: list[str]) -> str | None:
    options = OPTIONS[command].split()
    letters = dict(pair.split(":") for pair in LETTERS.get(command, "").split())
    index = 0
    while index < len(words) and words[index] != "--":
        word = words[index]
        index += 1
        if not word.startswith("-") or word == "-":
            if command in ("", *_COMMAND_FOLLOWS):
                return None
            continue
        if word.startswith("--"):
            name, has_value, _ = word[2:].partition("=")
            if name not in options and f"{name}=" not in options:
                return _said(command, f"unknown flag: --{name}")
            index += f"{name}=" in options and not has_value
            continue
        for place, letter in enumerate(word[1:], start=1):
            if letter not in letters:
                return _said(command, f"unknown shorthand flag: '{letter}' in {word}")
            if f"{letters[letter]}=" in options:
                # Its value is the rest of this word, or the next one.
                index += place == len(word) - 1
                break
    return None


def _said(command: str, what: str) -> str:
    return f"{what}\nSee 'docker {command} --help'." if command else f"{what}\nSee 'docker --help'."


def main(words: list[str]) -> None:
    """Refuse, or become the real client."""
    said = refusal(words)
    if said:
        sys.exit(_fail(said))
    if words[:1] in (["--version"], ["-v"]):
        print(VERSION)
        return
    os.execv(CLIENT, [CLIENT, *words])  # noqa: S606 - that is its job


def _fail(said: str) -> int:
    print(said, file=sys.stderr)
    return UNKNOWN_FLAG


if __name__ == "__main__":
    main(sys.argv[1:])
