# SPDX-License-Identifier: Apache-2.0
import json

import pytest
from ansible.module_utils.command_result import Result
from ansible.module_utils.docker_objects import inspect, with_tag

CONTAINER = {
    "Id": "c1",
    "Image": "sha256:aa",
    "State": {"Running": True},
    "Config": {"Labels": {"telechat.spec": "x"}},
}
IMAGE = {"Id": "sha256:aa", "RootFS": {"Layers": []}, "RepoDigests": ["r@sha256:bb"], "Config": {"Labels": None}}


class Recorder:
    """Answers every command with one result and remembers the argv."""

    def __init__(self, rc, stdout="", stderr=""):
        self.result = Result(rc, stdout, stderr)
        self.argv = []

    def __call__(self, argv):
        self.argv.append(argv)
        return self.result


def test_one_process_answers_for_both():
    run = Recorder(0, json.dumps([CONTAINER, IMAGE]))
    found = inspect(run, "/usr/bin/docker", "telechat", "telechat-ms")
    assert run.argv == [["/usr/bin/docker", "inspect", "telechat", "telechat-ms:latest"]]
    assert found.reachable
    assert (found.container.image_id, found.container.running) == ("sha256:aa", True)
    assert found.container.labels == {"telechat.spec": "x"}
    assert (found.image.id, found.image.digests, found.image.labels) == ("sha256:aa", ("r@sha256:bb",), {})


@pytest.mark.parametrize(
    "stderr",
    [
        "Error: No such object: telechat",
        "error: no such object: telechat",
        "Error response from daemon: No such image: x",
    ],
)
def test_missing_objects_are_an_answer(stderr):
    found = inspect(Recorder(1, "[]\n", stderr), "docker", "telechat", "telechat-ms:1.0")
    assert found.reachable
    assert found.container is None
    assert found.image is None


def test_image_of_the_containers_name_is_no_container():
    assert inspect(Recorder(1, json.dumps([IMAGE]), "No such object"), "docker", "telechat", "").container is None


def test_engine_that_does_not_answer():
    found = inspect(Recorder(1, "[]", "warning\nCannot connect to the Docker daemon at unix:///x\n"), "docker", "t", "")
    assert not found.reachable
    assert found.reason == "the engine does not answer: Cannot connect to the Docker daemon at unix:///x"


def test_an_answer_that_is_no_json_is_none():
    found = inspect(Recorder(0, "Emulate Docker CLI using podman\n"), "docker", "t", "")
    assert found.reason == "the engine does not answer: Emulate Docker CLI using podman"


def test_missing_client():
    assert inspect(Recorder(127), "/usr/bin/docker", "t", "").reason == "/usr/bin/docker is not installed"


def test_without_names_the_engine_is_asked():
    run = Recorder(0, "{}")
    assert inspect(run, "docker", "", "").reachable
    assert run.argv == [["docker", "version", "--format", "{{.Server.Version}}"]]


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("telechat-ms", "telechat-ms:latest"),
        ("telechat-ms:1.0", "telechat-ms:1.0"),
        ("registry.example:5000/ms", "registry.example:5000/ms:latest"),
        ("registry.example:5000/ms@sha256:aa", "registry.example:5000/ms@sha256:aa"),
    ],
)
def test_tag_is_spelled_out(name, full):
    assert with_tag(name) == full
