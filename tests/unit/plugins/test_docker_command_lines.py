# SPDX-License-Identifier: Apache-2.0
"""Every docker command line of the roles and telechat-run is one of Docker 18.09: no `unknown flag: --pull`."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils import container_plan
from ansible.module_utils.command_result import Result
from ansible.module_utils.docker_objects import Image, Inspected, inspect
from ansible.module_utils.hdk import containers, usage
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.steps import Ran

from lab.docker_18_09 import refusal
from telechat_runtime.cluster.argv import node_argv
from telechat_runtime.node.facts import container as container_facts

MODULES = Path(__file__).parents[3] / "plugins" / "modules"
IMAGE_ID = "sha256:" + "a" * 64
SETTLED = {
    "image": "ms:1.0",
    "user": "0",
    "ipc": "host",
    "network": "host",
    "restart": "always",
    "privileged": True,
    "stop_signal": "SIGHUP",
    "shm_size": "500g",
    "ulimits": ["nofile=1048576:1048576"],
    "devices": ["/dev/davinci0"],
    "mounts": ["type=bind,source=/data03,target=/mnt/model,readonly"],
    "hosts": ["node-0:192.0.2.1"],
    "env": {"LEVEL": "3"},
    "command": ["/bin/bash", "--login"],
}


class Client:
    """A docker client that refuses what 18.09 does not know, and counts what it was asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, argv, *_others, **_options):
        if Path(argv[0]).name == "docker":
            assert refusal([str(word) for word in argv[1:]]) is None, argv
            self.asked += 1
        return Result(0, "", "")


@pytest.fixture
def client():
    client = Client()
    yield client
    assert client.asked > 0


def module_of(program, client, **params):
    """Return the module of this name, and an AnsibleModule whose commands the client answers."""
    spec = importlib.util.spec_from_file_location(f"commands_of_{program}", MODULES / f"{program}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, SimpleNamespace(params={"cli": "docker", **params}, run_command=client, fail_json=lambda **_: None)


def test_looking_at_the_engine(client):
    inspect(client, "docker", "telechat", "ms:1.0")
    inspect(client, "docker", "", "")
    assert client.asked == 2


@pytest.mark.parametrize("action", ["create", "recreate", "start"])
def test_making_replacing_and_starting_the_container(client, action):
    container, ansible = module_of("telechat_container", client, name="telechat", parameters={"restart": "always"})
    argv = None if action == "start" else container_plan.run_argv("docker", "telechat", SETTLED, IMAGE_ID)
    image = Image(id=IMAGE_ID, digests=(), labels={})
    container.apply(ansible, container_plan.Decision(action, ""), Inspected(reason="", image=image), argv)


@pytest.mark.parametrize("source", ["load", "build", "pull"])
def test_bringing_an_image(client, monkeypatch, source):
    image, ansible = module_of("telechat_image", client, build_args={})
    found = Inspected(reason="", image=Image(id=IMAGE_ID, digests=(), labels={}))
    monkeypatch.setattr(image, "inspect", lambda *_: found)
    wish = {"cli": "docker", "name": "ms", "ids": [IMAGE_ID], "archive": "/a.tar", "context": "/c", "dockerfile": "D"}
    wish.update(pull_base=True, build_args={"A": "b"}, fingerprint="f")
    getattr(image, source)(ansible, wish)


def test_a_build_argument_is_not_shown_when_the_build_fails():
    image, ansible = module_of("telechat_image", None)
    shown = {}
    ansible.run_command = lambda _argv: (1, "", "no")
    ansible.fail_json = lambda **answer: shown.update(answer)
    ansible.params["build_args"] = {"INDEX": "********"}
    wish = {"name": "ms", "context": "/c", "dockerfile": "D", "pull_base": False, "fingerprint": "f"}
    image.build(ansible, {**wish, "build_args": {"INDEX": "https://lin:secret@192.0.2.1"}})
    assert "INDEX=********" in shown["argv"]
    assert "secret" not in str(shown)


def test_looking_for_who_uses_the_chips(client, tmp_path):
    process = tmp_path / "proc" / "7"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to("/dev/davinci0")
    (process / "cgroup").write_text("0::/docker/" + "a" * 64 + "\n")
    usage.holders(client, str(tmp_path))
    usage.containers(lambda argv: Result(0, "abc\n", "") if "ps" in argv else client(argv))
    usage.containers(client)
    assert client.asked == 3


def test_stopping_a_container_and_starting_it_again(client, monkeypatch, tmp_path):
    monkeypatch.setattr(containers, "run_logged", lambda argv, *_: Ran(client(argv).rc, ""))
    monkeypatch.setattr(containers, "new_log", lambda _step: str(tmp_path / "log"))
    step = SimpleNamespace(targets=("telechat",))
    host = SimpleNamespace(record=HdkRecord(str(tmp_path)))
    for take in (containers.stop, containers.start, containers.stop_for_good):
        take(step, host)
    assert client.asked == 4


def test_telechat_run_on_a_node(client, monkeypatch):
    def ask_tool(argv, **_options):
        client(argv)
        said = '[{"State": {}, "Config": {"Image": "ms"}}]'
        return SimpleNamespace(returncode=0, stdout=said, stderr="")

    monkeypatch.setattr(container_facts, "ask_tool", ask_tool)
    container_facts.look("telechat")
    connection = SimpleNamespace(become=False)
    client(node_argv(SimpleNamespace(container="telechat", connection=connection, runtime_path="/r", python="p"), "x"))
    assert client.asked == 3
