# SPDX-License-Identifier: Apache-2.0
"""The control side of a server's steps: what it asks, what it shows, and what it does without a link."""

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure

from plugins.action import ascend_hdk as plugin


class Server:
    """A server's answers in order; an exception stands for a link that is down."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def execute(self, module_name, module_args, **_):
        assert module_name == "ascend_hdk"
        self.asked.append(module_args)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def going_on(*progress):
    return {"run": "r1", "progress": list(progress), "changed": True}


DONE = {"run": "", "progress": ["upgrade driver 2: done after 60 s"], "changed": True}
DOWN = AnsibleConnectionFailure("no route to host")


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    lines = []
    monkeypatch.setattr(plugin, "_display", SimpleNamespace(display=lines.append))
    return lines


def run(server, *, check=False, **arguments):
    task = SimpleNamespace(
        args={"wish": {}, "staging_dir": "/s", **arguments}, check_mode=check, async_val=0, diff=False
    )
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
    action = plugin.ActionModule(task, connection, None, None, None, None)
    action._execute_module = server.execute
    return action.run(task_vars={"inventory_hostname": "node0"})


def test_asks_until_no_run_goes_on_and_shows_each_line_once(shown):
    server = Server(
        going_on(),
        going_on("upgrade driver 2: 10 %"),
        going_on("upgrade driver 2: 10 %"),
        going_on("upgrade driver 2: 40 %"),
        DONE,
    )
    assert run(server) == DONE
    assert shown == [
        "node0: upgrade driver 2: 10 %",
        "node0: upgrade driver 2: 40 %",
        "node0: upgrade driver 2: done after 60 s",
    ]


def test_each_question_waits_longer_up_to_a_limit_and_says_what_is_known():
    server = Server(going_on(), *[going_on("a: 1 %")] * 5, DONE)
    run(server)
    assert [asked.get("wait") for asked in server.asked] == [None, 2, 4, 8, 16, 20, 20]
    assert server.asked[2]["told"] == ["a: 1 %"]
    assert {asked["run"] for asked in server.asked[1:]} == {"r1"}


def test_to_start_only_is_one_question(shown):
    server = Server(going_on("upgrade driver 2: begun"))
    assert run(server, follow=False)["run"] == "r1"
    assert shown == []


def test_follows_a_run_that_an_earlier_task_started():
    server = Server(DONE)
    assert run(server, run="r1") == DONE
    assert server.asked[0]["run"] == "r1"


def test_nothing_to_do_and_check_mode_are_one_question():
    for check in (False, True):
        server = Server({"run": "", "progress": [], "changed": False})
        run(server, check=check)
        assert len(server.asked) == 1


def test_a_failure_ends_it(shown):
    failed = {"failed": True, "msg": "ERR", "progress": ["upgrade firmware 1: done after 2 s"]}
    assert run(Server(going_on(), failed)) == failed
    assert shown == ["node0: upgrade firmware 1: done after 2 s"]


def test_a_link_that_comes_back_is_said_once(shown, clock):
    assert run(Server(going_on(), DOWN, DOWN, DOWN, DONE), patience=300) == DONE
    assert [line for line in shown if "connect" in line] == [
        "node0: no connection; its steps need none; trying again (no route to host)",
        "node0: connected again",
    ]
    assert clock[0] == 15


def test_a_link_that_stays_away_ends_it_with_what_to_do(clock):
    with pytest.raises(AnsibleConnectionFailure, match=r"no answer for 300 s.*when it is back, run the playbook again"):
        run(Server(going_on(), *[DOWN] * 100), patience=300)
    assert 300 < clock[0] <= 310


def test_a_run_that_was_started_is_asked_for_patiently_from_the_first_question_on(clock):
    assert run(Server(DOWN, DONE), run="r1", patience=300) == DONE
    assert clock[0] > 0


def test_a_server_that_can_t_be_reached_at_first_is_not_waited_for(clock):
    with pytest.raises(AnsibleConnectionFailure, match="no route"):
        run(Server(DOWN))
    assert clock[0] == 0
