# SPDX-License-Identifier: Apache-2.0
"""Flags of dockerd and keys of its configuration: it does not start when a setting is both."""

import pytest
from ansible.module_utils import docker_daemon

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

SHOW = "systemctl show --property=LoadState,ExecStart,Environment,EnvironmentFiles docker"
# As openEuler's docker-engine and moby have it.
OPENEULER = """\
LoadState=loaded
Environment=GOTRACEBACK=crash
EnvironmentFiles=/etc/sysconfig/docker (ignore_errors=yes)
EnvironmentFiles=/etc/sysconfig/docker-storage (ignore_errors=yes)
ExecStart={ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd $OPTIONS $DOCKER_STORAGE_OPTIONS ; ignore_errors=no ; }
"""
SYSCONFIG = """\
# /etc/sysconfig/docker
OPTIONS="--log-driver=journald \\
  --live-restore \\
  --default-ulimit nofile=1024:1024 -H unix:///run/docker.sock"
"""


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


@pytest.fixture
def openeuler(host):
    host.answer(SHOW, OPENEULER)
    host.write("etc/sysconfig/docker", SYSCONFIG)
    return docker_daemon.look(host.run, "docker", host.root)


def daemon(**flags):
    values = {key.replace("_", "-"): value for key, value in flags.items()}
    return docker_daemon.Daemon(unit="loaded", argv=("dockerd",), pid=None, flags=values)


def test_flags_in_the_units_sysconfig_file_are_read(openeuler):
    assert openeuler.has_unit
    assert openeuler.flags == {
        "log-driver": ["journald"],
        "live-restore": ["true"],
        "default-ulimits": ["nofile=1024:1024"],
        "hosts": ["unix:///run/docker.sock"],
    }


def test_live_restore_stays_out_of_the_file_where_it_is_a_flag(openeuler):
    settled = docker_daemon.settle({"bip": "192.0.2.1/24"}, {"live-restore": True}, openeuler)
    assert settled == ({"bip": "192.0.2.1/24"}, (), (), ())
    assert settled.reason is None


def test_live_restore_that_an_earlier_release_wrote_is_taken_out_again(openeuler):
    settled = docker_daemon.settle({"live-restore": True, "bip": "x"}, {"live-restore": True}, openeuler)
    assert settled.config == {"bip": "x"}
    assert settled.reason == "daemon.json repeats flags of the unit: live-restore"
    assert not settled.needs_restart


def test_a_flag_that_says_otherwise_is_a_problem(openeuler):
    (problem,) = docker_daemon.settle({}, {"log-driver": "local"}, openeuler).problems
    assert problem.value == 'dockerd is started with --log-driver=journald, wanted is "local"'
    (problem,) = docker_daemon.settle({}, {"default-ulimits": {"nofile": {"Hard": 9}}}, openeuler).problems
    assert "--default-ulimit=nofile=1024:1024" in problem.value


def test_a_key_of_the_sites_own_that_is_a_flag_too_is_a_problem(openeuler):
    (problem,) = docker_daemon.settle({"log-driver": "local"}, {}, openeuler).problems
    assert problem.check == "daemon.json log-driver"
    assert docker_daemon.settle({"log-driver": "", "hosts": []}, {}, openeuler).problems == ()


def test_a_unit_that_starts_something_else_has_the_flags_of_the_process(host):
    host.answer(SHOW, OPENEULER.replace("argv[]=/usr/bin/dockerd", "argv[]=/opt/start-docker"))
    unknown = docker_daemon.look(host.run, "docker", host.root)
    assert unknown.argv is None
    (problem,) = docker_daemon.settle({}, {"live-restore": True}, unknown).problems
    assert "nobody knows its flags" in problem.value
    assert docker_daemon.settle({}, {}, unknown).problems == ()
    host.write("proc/41/comm", "dockerd\n")
    host.write("proc/41/cmdline", "/opt/bin/dockerd\0--config-file\0/opt/docker.json\0--live-restore\0")
    known = docker_daemon.look(host.run, "docker", host.root)
    assert (known.pid, known.flags["live-restore"]) == (41, ["true"])
    assert known.config_path("/etc/docker/daemon.json") == "/opt/docker.json"


def test_dockerd_of_a_container_is_not_the_hosts(host):
    host.link("proc/self/ns/pid", "pid:[1]")
    host.link("proc/41/ns/pid", "pid:[2]")
    host.write("proc/41/comm", "dockerd\n")
    host.write("proc/41/cmdline", "dockerd\0")
    assert docker_daemon.look(host.run, "docker", host.root) == ("", None, None, {})


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("-H fd:// --containerd=/run/c.sock", {"hosts": ["fd://"], "containerd": ["/run/c.sock"]}),
        (
            "-H=fd:// -Hunix:///x -D -l warn",
            {"hosts": ["fd://", "unix:///x"], "debug": ["true"], "log-level": ["warn"]},
        ),
        ("--live-restore=false --icc --label a=b", {"live-restore": ["false"], "icc": ["true"], "labels": ["a=b"]}),
        ("--log-opt max-size=1g --log-opt max-file=3", {"log-opts": ["max-size=1g", "max-file=3"]}),
        ("", {}),
    ],
)
def test_command_lines(line, flags):
    assert docker_daemon.parse_flags(line.split()) == flags


@pytest.mark.parametrize(
    ("given", "wanted", "is_covered"),
    [
        (["true"], True, True),
        (["false"], True, False),
        (["false"], False, True),
        (["local"], "local", True),
        (["3"], 3, True),
        (["a", "b"], ["b"], True),
        (["a"], ["a", "b"], False),
        (["max-size=1g", "max-file=3"], {"max-size": "1g"}, True),
        (["max-size=1g"], {"max-size": "2g"}, False),
        (["nofile=9:9"], {"nofile": {"Hard": 9}}, False),
    ],
)
def test_what_a_flag_covers(given, wanted, is_covered):
    assert docker_daemon.flag_covers(given, wanted) is is_covered


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\n#B=2\n; C=3\n\nD = 4 # not a comment of systemd's\n", {"A": "1", "D": "4 # not a comment of systemd's"}),
        ("A='--a\n  --b'\nB=\"c d\"\n", {"A": "--a\n  --b", "B": "c d"}),
        ("A=--x \\\n --y\n", {"A": "--x  --y"}),
        ("A=\nno assignment\n", {"A": ""}),
    ],
)
def test_environment_files(text, variables):
    assert docker_daemon.parse_environment_file(text) == variables


def test_variables_in_a_command_line():
    words = ["dockerd", "$MANY", "--label=${ONE}", "$NONE", "$$x"]
    assert docker_daemon.expand(words, {"MANY": "--a '--b c'", "ONE": "d e"}) == [
        "dockerd", "--a", "--b c", "--label=d e", "$x",
    ]  # fmt: skip


def test_flags_of_drop_ins_environment(host):
    text = 'LoadState=loaded\nEnvironment=A=b "DOCKER_OPTS=--bip 192.0.2.1/24"\n'
    host.answer(SHOW, text + "ExecStart={ path=/d ; argv[]=/usr/bin/dockerd $DOCKER_OPTS ; ignore_errors=no ; }\n")
    assert docker_daemon.look(host.run, "docker", host.root).flags == {"bip": ["192.0.2.1/24"]}
