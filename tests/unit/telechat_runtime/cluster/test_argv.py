# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shlex
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.cluster.argv import node_argv
from telechat_runtime.cluster.topology import cluster_from_hostvars
from telechat_runtime.redaction import command_text, is_secret, masked, shell_text
from tests.support.clusters import two_nodes


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_a_shell_reads_back_what_was_quoted(argv: list[str]) -> None:
    assert shlex.split(shell_text(argv)) == argv


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "token", "OBS_SECRET_KEY", "DB_PASSWORD", "ACCESS_KEY", "MY_AK", "PASSWD"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)
    assert masked({name: "s3cret", "A": "b"}) == {name: "********", "A": "b"}


@pytest.mark.parametrize("name", ["TOKENIZER_PATH", "PYTHONPATH", "MASK", "MONKEY", "TASK_ID"])
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_a_command_is_shown_with_its_environment_to_paste() -> None:
    text = command_text(
        ["msrun", "--join=True", "a b"], {"A": "x y", "RANK_TABLE_FILE": None, "TOKEN": "t0p"}, ["/opt/ms/bin"]
    )
    assert text == (
        "env -u RANK_TABLE_FILE A='x y' TOKEN='********' PATH=/opt/ms/bin:\"$PATH\" msrun --join=True 'a b'"
    )


def test_a_node_with_a_container_is_reached_through_docker() -> None:
    assert node_argv(two_nodes().master, "probe") == [
        "docker", "exec", "-i", "telechat", "python3", "/opt/telechat/telechat-run.pyz", "node", "probe",
    ]  # fmt: skip


def test_become_puts_sudo_first() -> None:
    assert node_argv(two_nodes(ansible_become=True).master, "stop", "--job", "x")[:4] == [
        "sudo",
        "-n",
        "docker",
        "exec",
    ]


def test_a_node_without_a_container_runs_the_runtime_itself() -> None:
    node = two_nodes(telechat_container_name="", telechat_python="/opt/ms/bin/python3").master
    assert node_argv(node, "status") == [
        "/opt/ms/bin/python3", "/opt/telechat/telechat-run.pyz", "node", "status",
    ]  # fmt: skip


def test_this_machine_runs_the_package_of_this_interpreter() -> None:
    variables = {
        "ansible_connection": "local",
        "ascend_npu_count": 1,
        "telechat_container_name": "",
        "telechat_runtime_path": "",
    }
    node = cluster_from_hostvars("ascend", ["here"], {"here": variables}).master
    assert node_argv(node, "probe") == [sys.executable, "-m", "telechat_runtime", "node", "probe"]
