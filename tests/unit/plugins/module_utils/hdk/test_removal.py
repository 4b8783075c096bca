# SPDX-License-Identifier: Apache-2.0
"""Plans to uninstall; test_hdk_plan_proof.py tries them from all states."""

import dataclasses

import pytest
from ansible.module_utils.hdk.plan import plan_hdk
from ansible.module_utils.hdk.state import Container, Holder, Installer

from tests.unit.plugins.module_utils.hdk.server_model import DKMS_TREE, Installed, Server
from tests.unit.plugins.module_utils.hdk.test_plan import NEW, actions, half, running, wish

TELECHAT = Container("ab" * 32, "telechat", devices=True)
MOUNTING = Container("cd" * 32, "idle", devices=False)


def removal(server, **changes):
    return plan_hdk(server.facts(), wish(driver="", firmware="", state="absent", architectures=(), **changes))


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        pytest.param(Server(), [], id="bare"),
        pytest.param(running(*NEW), ["uninstall firmware", "uninstall driver", "clean", "reboot"], id="installed"),
        pytest.param(
            running(*NEW, home="/opt/Ascend", user="root"),
            ["uninstall firmware", "uninstall driver", "clean", "reboot"],
            id="root's, elsewhere",
        ),
        pytest.param(Server(driver_running=NEW[0]), ["reboot"], id="uninstalled, still in the kernel"),
        pytest.param(Server(removed={"driver"}), ["reboot"], id="uninstalled in this boot"),
        pytest.param(Server(dkms="failed"), ["clean"], id="tree of a failed build"),
        pytest.param(half(Server(), "script", "npu-smi"), ["clean"], id="half a driver without its script"),
        pytest.param(half(Server(), "npu-smi"), ["uninstall driver", "clean", "reboot"], id="half a driver"),
        pytest.param(
            running(*NEW, containers=[TELECHAT, MOUNTING]),
            ["stop", "stop", "uninstall firmware", "uninstall driver", "clean", "reboot"],
            id="containers",
        ),
        pytest.param(Server(containers=[MOUNTING]), [], id="a container on a bare server"),
    ],
)
def test_plan_of_a_removal(server, expected):
    plan = removal(server)
    assert not plan.refusals
    assert actions(plan) == expected


def test_when_required_leaves_the_reboot_to_what_the_script_leaves_loaded():
    assert removal(running(*NEW), reboot_policy="when_required").steps[-1].condition == (
        "if the kernel still has the driver"
    )
    assert removal(Server(removed={"driver"}), reboot_policy="when_required").steps == ()


def test_steps_say_what_they_act_on():
    plan = removal(running(*NEW, home="/opt/Ascend", containers=[TELECHAT]))
    assert [str(step) for step in plan.steps] == [
        "stop telechat: it has the NPUs",
        "uninstall firmware 7.5.0.1.129: it is installed in /opt/Ascend",
        "uninstall driver 24.1.rc3: it is installed in /opt/Ascend",
        "clean, if the scripts leave anything: a later installation would stumble over it",
        "reboot: the driver leaves the kernel by a reboot",
    ]
    assert plan.steps[1].targets == ("/opt/Ascend",)


def test_what_no_script_removes_is_named():
    (step,) = removal(Server(dkms="failed")).steps
    assert step.targets == (DKMS_TREE,)


@pytest.mark.parametrize(
    ("changes", "check", "value"),
    [
        pytest.param(
            {"holders": [Holder(7, "python3", None)]}, "device_in_use", "python3 (pid 7)", id="a process of the host"
        ),
        pytest.param(
            {"holders": [Holder(7, "python3", "pod")], "containers": [TELECHAT]},
            "device_in_use",
            "python3 (pid 7, container pod)",
            id="a container that docker does not know",
        ),
        pytest.param(
            {"installer": Installer(9, "/root/driver.run", ours=False)},
            "installer_running",
            "/root/driver.run (pid 9)",
            id="another installer",
        ),
        pytest.param(
            {"driver": Installed(NEW[0], "/opt/Ascend", {"script"})},
            "uninstall_script",
            "/opt/Ascend/driver without a script that uninstalls it",
            id="elsewhere, without a script",
        ),
    ],
)
def test_refusals_of_a_removal(changes, check, value):
    plan = removal(running(*NEW, **changes))
    assert plan.steps == ()
    assert [(problem.check, problem.value) for problem in plan.refusals] == [(check, value)]


def test_a_container_of_docker_s_is_stopped_rather_than_refused():
    server = running(*NEW, holders=[Holder(7, "python3", "telechat")], containers=[TELECHAT])
    assert actions(removal(server))[0] == "stop"


def test_a_running_job_is_not_stopped():
    facts = dataclasses.replace(running(*NEW, containers=[TELECHAT]).facts(), job="job 7 of lin")
    (problem,) = plan_hdk(facts, wish(state="absent")).refusals
    assert (problem.check, problem.value) == ("device_in_use", "job 7 of lin")


def test_the_control_side_does_not_reboot_itself():
    (problem,) = removal(running(*NEW), can_reboot=False).refusals
    assert problem.check == "reboot"
