# SPDX-License-Identifier: Apache-2.0
"""Reads real inventories through the real ansible-inventory."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence, Tuple

import pytest

from telechat_runtime.cluster import inventory
from telechat_runtime.cluster.inventory import InventoryOptions, group_hosts, inventory_argv, load_cluster
from telechat_runtime.errors import InterruptedByUserError, InventoryError
from telechat_runtime.interrupt import Interrupt

HOSTS = """\
all:
  children:
    ascend:
      hosts:
        zeta: {ansible_host: 192.0.2.1}
        alpha: {ansible_host: 192.0.2.2}
      children:
        second_rack:
          hosts:
            beta: {ansible_host: 192.0.2.3}
      vars:
        ascend_npu_count: 8
    empty_group: {}
"""
Write = Callable[[str], str]


@functools.cache
def remembered(argv: Tuple[str, ...], run: Callable[[Sequence[str]], Mapping[str, Any]]) -> Mapping[str, Any]:
    return run(argv)


@pytest.fixture(scope="module")
def file_of_hosts(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("inventory") / "hosts.yml"
    path.write_text(HOSTS)
    return str(path)


@pytest.fixture
def hosts(file_of_hosts: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return the path of HOSTS; what Ansible says of it is asked for once, and remembered."""
    monkeypatch.delenv("ANSIBLE_INVENTORY", raising=False)
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    run = inventory._run
    monkeypatch.setattr(inventory, "_run", lambda argv: remembered(tuple(argv), run))
    return file_of_hosts


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.delenv("ANSIBLE_INVENTORY", raising=False)
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    def to_file(text: str) -> str:
        path = tmp_path / "hosts.yml"
        path.write_text(text)
        return str(path)

    return to_file


def names(options: InventoryOptions) -> list[tuple[int, str]]:
    return [(rank, node.name) for rank, node in enumerate(load_cluster(options, Interrupt()).nodes)]


def test_the_order_of_the_file_is_the_order_of_the_ranks(hosts: str) -> None:
    assert names(InventoryOptions(sources=(hosts,))) == [(0, "zeta"), (1, "alpha"), (2, "beta")]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("alpha,beta", ["alpha", "beta"]),
        ("!zeta", ["alpha", "beta"]),
        ("second_rack", ["beta"]),
        ("*eta", ["zeta", "beta"]),
    ],
)
def test_a_limit_is_ansibles_own(hosts: str, limit: str, expected: list[str]) -> None:
    found = names(InventoryOptions(sources=(hosts,), limit=limit))
    assert found == list(enumerate(expected))


@pytest.mark.parametrize(("limit", "unknown"), [("alpha,gamma", "gamma"), ("alhpa", "alhpa"), ("zeta:!betta", "betta")])
def test_an_unknown_host_in_a_limit(hosts: str, limit: str, unknown: str) -> None:
    with pytest.raises(InventoryError, match=f"the inventory has no host or group '{unknown}'") as caught:
        names(InventoryOptions(sources=(hosts,), limit=limit))
    assert caught.value.exit_code == 3


def test_the_nearest_name_is_offered(hosts: str) -> None:
    with pytest.raises(InventoryError) as caught:
        names(InventoryOptions(sources=(hosts,), limit="alhpa"))
    assert caught.value.next_step == "did you mean alpha?"


def test_a_limit_outside_of_the_group(write: Write) -> None:
    text = HOSTS + "  hosts:\n    bastion: {}\n"
    with pytest.raises(InventoryError, match="--limit leaves no host of the group 'ascend'"):
        names(InventoryOptions(sources=(write(text),), limit="bastion"))


def test_an_unknown_group_names_the_groups_there_are(hosts: str) -> None:
    with pytest.raises(InventoryError, match="the inventory has no group 'gpu'") as caught:
        names(InventoryOptions(sources=(hosts,), group="gpu"))
    assert "second_rack" in caught.value.next_step


def test_an_empty_group(hosts: str) -> None:
    with pytest.raises(InventoryError, match="the group 'empty_group' has no hosts"):
        names(InventoryOptions(sources=(hosts,), group="empty_group"))


def test_an_inventory_that_is_not_there(write: Write) -> None:
    write(HOSTS)
    with pytest.raises(InventoryError, match="the inventory '/no/such' does not exist"):
        names(InventoryOptions(sources=("/no/such",)))


def test_an_inventory_that_cannot_be_read(write: Write) -> None:
    with pytest.raises(InventoryError, match="ansible-inventory failed") as caught:
        names(InventoryOptions(sources=(write("ascend: ["),)))
    assert "YAML parsing failed" in caught.value.problems[0]


def test_a_template_in_a_contract_variable(write: Write) -> None:
    text = HOSTS.replace("ascend_npu_count: 8", 'ascend_npu_count: "{{ npus }}"')
    with pytest.raises(InventoryError, match=r"zeta: ascend_npu_count is the template '\{\{ npus \}\}'"):
        names(InventoryOptions(sources=(write(text),)))


def test_the_default_is_ansibles(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(HOSTS)
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\ninventory = {path}\n")
    assert len(names(InventoryOptions())) == 3
    other = tmp_path / "other.yml"
    other.write_text("ascend: {hosts: {solo: {ascend_npu_count: 1}}}\n")
    monkeypatch.setenv("ANSIBLE_INVENTORY", str(other))
    assert names(InventoryOptions()) == [(0, "solo")]


def test_an_interrupt_while_it_is_read(write: Write) -> None:
    interrupt = Interrupt()
    interrupt.request()
    with pytest.raises(InterruptedByUserError, match="interrupted while reading the inventory"):
        load_cluster(InventoryOptions(sources=(write(HOSTS),)), interrupt)


def test_argv_hands_the_vault_options_through() -> None:
    options = InventoryOptions(
        sources=("a", "b"), vault_ids=("dev@prompt",), vault_password_files=("/pw",), ask_vault_password=True
    )
    assert inventory_argv(options, "x,y")[1:] == [
        "--list",
        "--inventory",
        "a",
        "--inventory",
        "b",
        "--vault-id",
        "dev@prompt",
        "--vault-password-file",
        "/pw",
        "--ask-vault-password",
        "--limit",
        "x,y",
    ]


def test_a_host_in_two_children_counts_once() -> None:
    listing = {"a": {"hosts": ["x"], "children": ["b", "c"]}, "b": {"hosts": ["y"]}, "c": {"hosts": ["y", "x"]}}
    assert group_hosts(listing, "a") == ["x", "y"]
