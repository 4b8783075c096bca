# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

import pytest

from telechat_runtime.errors import InterruptedByUserError, PreflightError, UnreachableError
from telechat_runtime.fanout import FleetError, call_on_all, gather
from telechat_runtime.interrupt import Interrupt

NAMES = [f"node{index}" for index in range(5)]


def test_answers_come_in_the_order_of_the_names() -> None:
    late = threading.Event()

    def call(name: str) -> str:
        if name == "node4":
            late.set()
        else:
            late.wait(5)
        return name.upper()

    answers = call_on_all(NAMES, call, doing="x", interrupt=Interrupt())
    assert list(answers.items()) == [(name, name.upper()) for name in NAMES]


def test_no_more_threads_than_allowed() -> None:
    lock = threading.Lock()
    running = 0
    most = 0

    def call(_name: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.02)
        with lock:
            running -= 1

    call_on_all(NAMES, call, doing="x", interrupt=Interrupt(), max_threads=2)
    assert most == 2


def test_all_are_joined_then_one_error_carries_every_result() -> None:
    def call(name: str) -> str:
        if name == "node1":
            raise PreflightError("node1: busy", next_step="wait")
        if name == "node3":
            raise UnreachableError("node3: gone", next_step="wait")
        return name

    with pytest.raises(FleetError) as caught:
        call_on_all(NAMES, call, doing="x", interrupt=Interrupt())
    assert caught.value.results == {"node0": "node0", "node2": "node2", "node4": "node4"}
    assert list(caught.value.errors) == ["node1", "node3"]
    assert caught.value.exit_code == 5
    assert str(caught.value) == "node1: busy\nnode3: gone\n  next: wait"


def test_gather_hands_over_results_and_errors() -> None:
    def call(name: str) -> str:
        if name == "b":
            raise UnreachableError("gone", node=name)
        return name.upper()

    results, errors = gather(["a", "b", "c"], call, doing="asking", interrupt=Interrupt())
    assert results == {"a": "A", "c": "C"}
    assert {name: error.message for name, error in errors.items()} == {"b": "b: gone"}


def test_a_defect_is_no_users_mistake() -> None:
    with pytest.raises(ZeroDivisionError):
        call_on_all(["a"], lambda _name: 1 // 0, doing="x", interrupt=Interrupt())


def test_nothing_to_do() -> None:
    assert call_on_all([], str.upper, doing="x", interrupt=Interrupt()) == {}


def test_ctrl_c_leaves_what_only_looks() -> None:
    interrupt = Interrupt()
    never = threading.Event()

    def call(_name: str) -> None:
        interrupt.request()
        never.wait(5)

    with pytest.raises(InterruptedByUserError, match="interrupted while looking"):
        call_on_all(NAMES, call, doing="looking", interrupt=interrupt)
    assert not never.is_set()
    never.set()


def test_ctrl_c_waits_for_what_changes_a_node_until_it_is_pressed_again() -> None:
    interrupt = Interrupt()
    done = []

    def call(name: str) -> None:
        if name == "node0":
            interrupt.request()
        threading.Event().wait(0.05)
        done.append(name)

    call_on_all(NAMES, call, doing="starting", interrupt=interrupt, finish=True)
    assert sorted(done) == NAMES

    def hang(_name: str) -> None:
        interrupt.request()
        threading.Event().wait(1)

    with pytest.raises(InterruptedByUserError):
        call_on_all(NAMES, hang, doing="starting", interrupt=interrupt, finish=True)
