# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import socket
import subprocess
import threading
from pathlib import Path
from typing import List

import pytest
from click.testing import CliRunner

from telechat_runtime import __version__
from telechat_runtime.cli.main import cli
from tests.support.control_side import telechat_run

HOSTS = {"node0": {"ansible_host": "192.0.2.10", "ascend_npu_count": 8}, "node1": {"ascend_npu_count": 8}}


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"ascend": {"hosts": HOSTS}}))
    return str(path)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*telechat_run(), *words], capture_output=True, text=True, timeout=60, check=False)


def test_help_lists_the_commands_in_the_order_of_their_use() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    words = [line.split()[0] for line in result.output.partition("Commands:\n")[2].splitlines()]
    assert words == [
        "predict",
        "finetune",
        "preprocess",
        "convert",
        "merge-lora",
        "nodes",
        "cordon",
        "uncordon",
        "status",
        "jobs",
        "attach",
        "check",
        "show",
        "diff",
        "replay",
        "doctor",
        "logs",
        "stop",
        "sweep",
        "node",
    ]


def test_the_short_help_of_a_command_is_the_same_in_both_places() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    for name in cli.list_commands(None):  # type: ignore[arg-type]
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command
        assert f"{name}  " in result.output
        if name != "node":
            assert command.short_help
            assert command.short_help in result.output


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"telechat-run, version {__version__}\n"


def test_nodes_as_a_table(inventory: str) -> None:
    result = CliRunner().invoke(cli, ["nodes", "--offline", "-i", inventory], catch_exceptions=False)
    assert result.output.splitlines() == [
        "RANK  NODE   ADDRESS     NPUS  CONNECTION      CONTAINER",
        "0     node0  192.0.2.10  8     ssh 192.0.2.10  telechat",
        "1     node1  node1       8     ssh node1       telechat",
    ]


def test_nodes_as_data(inventory: str) -> None:
    result = CliRunner().invoke(cli, ["nodes", "--offline", "-i", inventory, "--json"], catch_exceptions=False)
    assert [node["name"] for node in json.loads(result.output)["nodes"]] == ["node0", "node1"]


def test_an_option_can_come_from_the_environment(inventory: str) -> None:
    result = CliRunner().invoke(
        cli,
        ["nodes", "--offline"],
        catch_exceptions=False,
        env={"TELECHAT_INVENTORY": inventory, "TELECHAT_LIMIT": "node1"},
    )
    assert result.output.splitlines()[1:] == ["0     node1  node1    8     ssh node1   telechat"]


BAD_INPUT = [
    (["nodes", "-i", "/no/such"], 3, "the inventory '/no/such' does not exist"),
    (["nodes", "-i", "INVENTORY", "--group", "gpu"], 3, "the inventory has no group 'gpu'"),
    (["nodes", "-i", "INVENTORY", "--limit", "node7"], 3, "the inventory has no host or group 'node7'"),
    (["finetune", "-i", "INVENTORY"], 2, "give either --config FILE or --model NAME"),
    (["finetune", "--model", "7b", "--config", "x"], 2, "give either --config FILE or --model NAME"),
    (["finetune", "--model", "8b"], 2, "'8b' is not one of"),
    (["finetune", "--config", "/no/such"], 3, "--config '/no/such' can't be read: No such file or directory"),
    (["finetune", "--model", "7b", "--set", "epochs"], 3, "--set 'epochs' has no key=value form"),
    (["finetune", "--model", "7b", "--dataset", "data"], 3, "--dataset 'data' is a relative path"),
    (["finetune", "--model", "7b", "--epochs", "0"], 2, "--epochs"),
    (["finetune", "--model", "7b", "--job-name", "My Job"], 3, "--job-name 'My Job' is invalid"),
    (["finetune", "-i", "INVENTORY", "--model", "7b"], 3, "the inventory names none (telechat_tree)"),
    (["finetune", "-i", "INVENTORY", "--model", "7b", "--npus-per-node", "9"], 3, "is more than the nodes have"),
    (["nothing"], 2, "No such command 'nothing'"),
]


@pytest.mark.parametrize(("words", "code", "message"), BAD_INPUT)
def test_bad_input_gets_a_message_and_its_exit_code(inventory: str, words: List[str], code: int, message: str) -> None:
    done = run(*(inventory if word == "INVENTORY" else word for word in words))
    assert message in done.stderr
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_every_problem_of_the_inventory_at_once(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("ascend: {hosts: {a: {ascend_node_rank: 0}, b: {ascend_node_rank: 0, ansible_port: 0}}}\n")
    done = run("nodes", "-i", str(path))
    assert done.returncode == 3
    assert "ascend_node_rank 0 is given to a and b" in done.stderr
    assert "a: ascend_npu_count is missing" in done.stderr
    assert "b: ansible_port is 0" in done.stderr
    assert "inventory/README.md" in done.stderr


def test_a_server_that_speaks_no_ssh_gets_a_message_and_no_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 200)

        thread = threading.Thread(target=answer)
        thread.start()
        host = {"ansible_host": "127.0.0.1", "ansible_port": server.getsockname()[1], "ascend_npu_count": 1}
        path = tmp_path / "hosts.yml"
        path.write_text(json.dumps({"ascend": {"hosts": {"node0": host}}}))
        done = run("status", "-i", str(path))
        thread.join()
    assert done.returncode == 4
    assert "node0  no answer" in done.stdout
    assert "can't connect" in done.stderr
    assert "Traceback" not in done.stderr
