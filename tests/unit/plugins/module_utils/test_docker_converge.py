# SPDX-License-Identifier: Apache-2.0
"""Configuring and starting an engine: what it does not take is put back, and it runs as before."""

import json
from pathlib import Path

import pytest
from ansible.module_utils import docker_converge
from ansible.module_utils.command_result import Result

UNIT = """\
LoadState=loaded
ExecStart={ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd %s ; ignore_errors=no ; }
"""
REFUSED = "unable to configure the Docker daemon with file /etc/docker/daemon.json: the following directives are wrong"


class Machine:
    """systemd, dockerd and its client; the engine starts when the test finds the configuration good."""

    def __init__(self, root):
        self.root = root
        self.path = root / "etc" / "docker" / "daemon.json"
        self.flags = ""
        self.unit = None
        self.runs = True
        self.enabled = True
        self.validates = True
        self.takes = lambda _config: True
        self.calls = []

    def run(self, argv):
        program, *words = argv
        if program == "systemctl":
            return self.systemctl(*words)
        if program == "docker":
            return Result(0, "28.0.0\n", "") if self.runs else Result(1, "", "Cannot connect to the Docker daemon")
        if program == "journalctl":
            return Result(0, f"Starting docker.service\n{REFUSED}\ndocker.service: Failed with result\n", "")
        assert words[-2] == "--validate"
        if not self.validates:
            return Result(125, "", "unknown flag: --validate\nSee 'dockerd --help'.")
        path = words[-1].partition("=")[2]
        good = self.takes(json.loads(Path(path).read_text()))
        return (
            Result(0, "configuration OK\n", "") if good else Result(1, "", f"unable to configure with file {path}: no")
        )

    def systemctl(self, action, *_words):
        if action == "show":
            return Result(0, self.unit if self.unit is not None else UNIT % self.flags, "")
        if action == "is-enabled":
            return Result(0 if self.enabled else 1, "", "")
        self.calls.append(action)
        if action == "enable":
            self.enabled = True
        if action in ("start", "restart"):
            self.runs = self.takes(json.loads(self.path.read_text()) if self.path.exists() else {})
            return Result(0 if self.runs else 1, "", "Job for docker.service failed.")
        return Result(0, "", "")

    def converge(self, **wish):
        engine = docker_converge.Engine(cli="docker", service="docker", config_path=str(self.path))
        todo = docker_converge.plan(self.run, engine, wish, str(self.root))
        docker_converge.carry_out(self.run, engine, todo, sleep=lambda _seconds: None)
        return todo


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_fresh_engine_starts_with_its_configuration(machine):
    machine.runs = machine.enabled = False
    todo = machine.converge(**{"live-restore": True})
    assert todo.changed
    assert json.loads(machine.path.read_text()) == {"live-restore": True}
    assert machine.path.stat().st_mode & 0o777 == 0o644
    assert machine.calls == ["reset-failed", "start", "enable"]
    assert not machine.converge(**{"live-restore": True}).changed


@pytest.mark.parametrize(("wish", "calls"), [({"live-restore": True}, ["reload"]), ({"bip": "x"}, ["restart"])])
def test_a_running_engine_is_restarted_only_for_what_it_does_not_reload(machine, wish, calls):
    machine.converge(**wish)
    assert machine.calls == calls


def test_no_reload_breaks_the_next_boot(machine):
    machine.flags = "--live-restore -H fd://"
    assert not machine.converge(**{"live-restore": True}).changed
    assert not machine.path.exists()


def test_the_file_of_another_config_file_flag_is_written(machine):
    machine.flags = f"--config-file={machine.root}/other.json"
    machine.converge(**{"live-restore": True})
    assert json.loads((machine.root / "other.json").read_text()) == {"live-restore": True}


def test_what_dockerd_calls_wrong_is_never_put_in_place(machine):
    machine.takes = lambda config: "proxies" not in config
    with pytest.raises(
        docker_converge.EngineError, match=r"does not take the new .*daemon\.json: .*Nothing was changed"
    ):
        machine.converge(proxies={})
    assert not machine.path.exists()
    assert list(machine.path.parent.iterdir()) == []
    assert machine.calls == []


def test_an_older_engine_that_does_not_start_gets_its_old_configuration_back(machine):
    machine.validates = False
    machine.takes = lambda config: "proxies" not in config
    machine.path.parent.mkdir(parents=True)
    machine.path.write_text('{"bip": "192.0.2.1/24"}')
    with pytest.raises(docker_converge.EngineError) as raised:
        machine.converge(proxies={})
    assert REFUSED in str(raised.value)
    assert "The old one was put back, and it runs with it" in str(raised.value)
    assert machine.path.read_text() == '{"bip": "192.0.2.1/24"}'
    assert machine.runs


def test_an_engine_that_does_not_start_is_not_installed_again(machine):
    machine.runs = False
    machine.takes = lambda _config: False
    with pytest.raises(docker_converge.EngineError, match=r"docker does not start: .*it is not installed again"):
        machine.converge()


def test_an_engine_without_a_unit_can_not_be_restarted(machine):
    machine.unit = "LoadState=not-found\n"
    with pytest.raises(docker_converge.EngineError, match="systemd has no unit docker"):
        machine.converge(bip="x")
    assert not machine.path.exists()


def test_a_file_that_can_not_be_merged_is_left_alone(machine):
    machine.path.parent.mkdir(parents=True)
    machine.path.write_text("{")
    with pytest.raises(docker_converge.EngineError, match="must be a JSON object"):
        machine.converge(bip="x")
    assert machine.path.read_text() == "{"
