# SPDX-License-Identifier: Apache-2.0
"""Plans of the states a server is met in: what, in which order, why; test_hdk_plan_proof.py tries all states."""

import dataclasses

import pytest
from ansible.module_utils.hdk.plan import plan_hdk
from ansible.module_utils.hdk.state import Chip, Component, Container, HdkWish, Holder, Installer

from tests.unit.plugins.module_utils.hdk.server_model import (
    DKMS_TREE,
    INSTALL_INFO,
    BrokenServerError,
    Installed,
    InstallInfo,
    Server,
)

OLD, NEW = ("23.0.3", "7.1.0.5.220"), ("24.1.rc3", "7.5.0.1.129")
NEWER = ("25.2.0", "7.7.0.6.236")
BOTH = {"driver": "/usr/local/Ascend", "firmware": "/usr/local/Ascend"}
MINUTES = {"driver": 180, "firmware": 120, "uninstall": 60, "reboot": 300}


def wish(driver=NEW[0], firmware=NEW[1], **changes):
    values = {
        "driver_version": driver,
        "firmware_version": firmware,
        "npu_count": 2,
        "bus_device": "d802",
        "architectures": ("aarch64",),
        "reboot_policy": "guide",
        "allow_downgrade": False,
        "can_reboot": True,
        "durations": MINUTES,
    }
    return HdkWish(**{**values, **changes})


def running(driver_version, firmware_version, home="/usr/local/Ascend", user="HwHiAiUser", **changes):
    """A server on which everything of one HDK runs."""
    values = {
        "driver": Installed(driver_version, home),
        "driver_running": driver_version,
        "module_built": True,
        "dkms": "built",
        "firmware": Installed(firmware_version, home),
        "flash": [firmware_version] * 2,
        "firmware_running": [firmware_version] * 2,
        "info": InstallInfo(user=user, group=user, homes={"driver": home, "firmware": home}),
    }
    return Server(**{**values, **changes})


def with_driver(version, running_version="same", **changes):
    """A server with a driver alone."""
    values = {
        "driver": Installed(version),
        "driver_running": version if running_version == "same" else running_version,
        "module_built": True,
        "dkms": "built",
        "info": InstallInfo(homes={"driver": "/usr/local/Ascend"}),
    }
    return Server(**{**values, **changes})


def half(server, *lacks, **changes):
    """That server after a power cut in its driver's installer; nobody recorded it."""
    values = {
        "driver": Installed(server.driver.version if server.driver else NEW[0], lacks=set(lacks)),
        "driver_running": None,
        "module_built": False,
        "dkms": "failed",
        "info": InstallInfo(homes={"driver": "/usr/local/Ascend"}),
    }
    return dataclasses.replace(server, **{**values, **changes})


def actions(plan):
    return [f"{step.action} {step.component}" if step.component else step.action for step in plan.steps]


FRESH = ["install driver", "reboot", "install firmware", "reboot"]
OVER = ["upgrade firmware", "upgrade driver", "reboot"]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        pytest.param(Server(), FRESH, id="bare"),
        pytest.param(running(*NEW), [], id="all versions run"),
        pytest.param(running(*OLD), OVER, id="older driver and firmware"),
        pytest.param(running(NEW[0], OLD[1]), ["upgrade firmware", "reboot"], id="older firmware"),
        pytest.param(running(OLD[0], NEW[1]), ["upgrade driver", "reboot"], id="older driver"),
        pytest.param(with_driver(NEW[0]), ["install firmware", "reboot"], id="driver, no firmware"),
        pytest.param(
            with_driver(OLD[0]), ["install firmware", "upgrade driver", "reboot"], id="older driver, no firmware"
        ),
        pytest.param(
            Server(
                driver_running=OLD[0],
                firmware=Installed(OLD[1]),
                info=InstallInfo(homes={"firmware": "/usr/local/Ascend"}),
            ),
            ["install driver", "reboot", "upgrade firmware", "reboot"],
            id="driver uninstalled, not rebooted",
        ),
        pytest.param(
            Server(driver_running=OLD[0], removed={"driver", "firmware"}), FRESH, id="both uninstalled, not rebooted"
        ),
        pytest.param(
            with_driver(NEW[0], None, written_this_boot={"driver"}),
            ["reboot", "install firmware", "reboot"],
            id="driver installed, not rebooted",
        ),
        pytest.param(
            running(*NEW, firmware_running=[OLD[1]] * 2, written_this_boot={"firmware"}),
            ["reboot"],
            id="firmware installed, not rebooted",
        ),
        pytest.param(
            running(*NEW, driver_running=OLD[0], written_this_boot={"driver"}),
            ["reboot"],
            id="driver upgraded, not rebooted",
        ),
        pytest.param(
            running(*NEW, flash=[NEW[1], OLD[1]], firmware_running=[NEW[1], OLD[1]]),
            ["upgrade firmware", "reboot"],
            id="one chip not upgraded",
        ),
        pytest.param(
            running(*NEW, driver_running=None, module_built=False),
            ["upgrade driver", "reboot"],
            id="driver without a module for this kernel",
        ),
        pytest.param(
            running(*OLD, driver_running=None, module_built=False),
            ["upgrade driver", "reboot", "upgrade firmware", "reboot"],
            id="older driver without a module for this kernel",
        ),
        pytest.param(
            Server(interrupted={"driver"}), FRESH, id="power cut in a fresh driver's installation, before its files"
        ),
        pytest.param(
            half(Server(), "upgrade-tool", "npu-smi", "status", interrupted={"driver"}),
            ["clean", *FRESH],
            id="power cut in a fresh driver's build",
        ),
        pytest.param(
            half(Server(), "upgrade-tool", "npu-smi", "status"),
            ["clean", *FRESH],
            id="power cut in a fresh driver's build, of which nothing was recorded",
        ),
        pytest.param(
            half(Server(), driver=Installed(None, lacks={"upgrade-tool", "npu-smi", "status"}), dkms="none"),
            FRESH,
            id="power cut before version.info",
        ),
        pytest.param(
            half(running(*OLD), "npu-smi", info=InstallInfo(homes=dict(BOTH))),
            ["clean", "install driver", "reboot", "upgrade firmware", "reboot"],
            id="power cut in a driver's upgrade, npu-smi missing",
        ),
        pytest.param(
            running(*NEW, driver=Installed(NEW[0], lacks={"status"})),
            ["upgrade driver", "reboot"],
            id="npu-smi calls the driver incomplete",
        ),
        pytest.param(
            running(*NEW, interrupted={"firmware"}), ["upgrade firmware", "reboot"], id="power cut in the firmware"
        ),
        pytest.param(
            running(*NEW, firmware=None, info=InstallInfo(homes={"driver": "/usr/local/Ascend"})),
            [],
            id="firmware runs, its files are uninstalled",
        ),
        pytest.param(Server(dkms="failed"), ["clean", *FRESH], id="tree of a failed build"),
        pytest.param(Server(dkms="built"), ["clean", *FRESH], id="tree of a removed driver"),
        pytest.param(
            running(*OLD, driver_running=None, module_built=False, dkms="failed"),
            ["clean", "upgrade driver", "reboot", "upgrade firmware", "reboot"],
            id="no module for this kernel, as the build for it failed",
        ),
        pytest.param(
            Server(info=InstallInfo(user="somebody", group="somebody")),
            ["clean", *FRESH],
            id="another user's name is left of what was uninstalled",
        ),
    ],
)
def test_plan_of_each_state(server, expected):
    plan = plan_hdk(server.facts(), wish())
    assert not plan.refusals
    assert actions(plan) == expected
    assert all(step.reason for step in plan.steps)


@pytest.mark.parametrize("firmware", [OLD[1], NEW[1], NEWER[1]])
@pytest.mark.parametrize("driver", [OLD[0], NEW[0], NEWER[0]])
def test_older_and_newer_in_any_combination(driver, firmware):
    """What is newer than wanted is refused by name; with leave it is replaced in the guide's order."""
    facts = running(driver, firmware).facts()
    newer = {"driver_downgrade"} if driver == NEWER[0] else set()
    newer |= {"firmware_downgrade"} if firmware == NEWER[1] else set()
    assert {problem.check for problem in plan_hdk(facts, wish()).refusals} == newer
    expected = ["upgrade firmware"] * (firmware != NEW[1]) + ["upgrade driver"] * (driver != NEW[0])
    plan = plan_hdk(facts, wish(allow_downgrade=True))
    assert actions(plan) == ([*expected, "reboot"] if expected else [])


REINSTALL = ["uninstall firmware", "uninstall driver", "clean", "reboot", *FRESH]


@pytest.mark.parametrize(
    ("server", "value", "ways"),
    [
        pytest.param(
            running(*OLD, user="somebody"),
            "installed for somebody:somebody",
            "set ascend_hdk_user: somebody and ascend_hdk_group: somebody as it is installed, "
            "or set ascend_hdk_foreign_installation: reinstall to have it uninstalled first",
            id="another user",
        ),
        pytest.param(
            running(*NEW, user="root"),
            "installed for root:root",
            "set ascend_hdk_user: root and ascend_hdk_group: root as it is installed, "
            "or set ascend_hdk_foreign_installation: reinstall to have it uninstalled first",
            id="root, and the versions as wanted",
        ),
        pytest.param(
            running(*OLD, home="/opt/Ascend"),
            "installed in /opt/Ascend",
            "set ascend_hdk_foreign_installation: reinstall to have it uninstalled first",
            id="another folder",
        ),
    ],
)
def test_a_foreign_installation_is_refused_or_replaced(server, value, ways):
    (problem,) = plan_hdk(server.facts(), wish()).refusals
    assert (problem.check, problem.value) == ("foreign_installation", f"the HDK is {value}")
    assert problem.next_step == ways
    plan = plan_hdk(server.facts(), wish(foreign="reinstall"))
    assert actions(plan) == (REINSTALL if server.driver.version == OLD[0] else [*REINSTALL[:-2]])
    home = server.driver.home
    assert [step.targets for step in plan.steps[:2]] == [(home,), (home,)]


def test_as_installed_nothing_is_foreign():
    assert plan_hdk(running(*NEW, user="root").facts(), wish(user="root", group="root")).steps == ()


def test_elsewhere_and_without_a_script_it_is_left_to_hands():
    server = running(*OLD, home="/opt/Ascend")
    server.driver.lacks.add("script")
    (problem,) = plan_hdk(server.facts(), wish(foreign="reinstall")).refusals
    assert (problem.check, problem.value) == (
        "uninstall_script",
        "/opt/Ascend/driver without a script that uninstalls it",
    )


def test_root_s_driver_that_is_not_for_all_takes_a_full_installation():
    server = running(*OLD, user="root")
    server.info.for_all = False
    assert actions(plan_hdk(server.facts(), wish(user="root", group="root"))) == [
        "upgrade firmware",
        "install driver",
        "reboot",
    ]


def test_root_s_first_firmware_takes_the_option_that_is_open_to_root():
    plan = plan_hdk(Server().facts(), wish(user="root", group="root"))
    assert actions(plan) == ["install driver", "reboot", "upgrade firmware", "reboot"]


def test_a_healthy_driver_s_tree_is_left_alone():
    assert "clean" not in actions(plan_hdk(running(*OLD, dkms="failed").facts(), wish()))


def test_what_is_cleaned_is_named():
    server = Server(dkms="failed", info=InstallInfo(user="somebody", group="somebody"))
    step = plan_hdk(server.facts(), wish()).steps[0]
    assert step.targets == (DKMS_TREE, INSTALL_INFO)
    assert str(step) == f"clean {DKMS_TREE} {INSTALL_INFO}: it is left of another installation"


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        pytest.param(running(*NEW, driver_running=None, module_built=False), "has no module for kernel 5.10.0", id="a"),
        pytest.param(running(*NEW, driver_running=None), "is not loaded in kernel 5.10.0", id="not loaded"),
        pytest.param(running(*NEW, driver_running=OLD[0]), "23.0.3 runs", id="another runs"),
    ],
)
def test_why_a_driver_on_disk_does_not_run(server, reason):
    assert plan_hdk(server.facts(), wish()).steps[0].reason == f"it is installed, but {reason}"


def test_what_a_half_driver_lacks_is_named():
    step = plan_hdk(half(Server(), "npu-smi", "upgrade-tool").facts(), wish()).steps[1]
    assert step.reason == "its last installation did not finish: npu-smi, upgrade-tool is not there"


def test_when_required_leaves_the_reboot_after_a_fresh_driver_to_its_installer():
    plan = plan_hdk(Server().facts(), wish(reboot_policy="when_required"))
    assert actions(plan) == FRESH
    assert plan.steps[1].condition == "if the installer asks for it"


def test_versions_are_compared_as_versions():
    assert plan_hdk(running("24.1.RC3", NEW[1]).facts(), wish()).steps == ()


def test_the_model_breaks_on_the_wrong_order():
    driver, reboot, firmware, _ = plan_hdk(Server().facts(), wish()).steps
    with pytest.raises(BrokenServerError):
        Server().take(firmware, wish())
    server = Server(hot_reset_works=False)
    server.take(driver, wish())
    with pytest.raises(BrokenServerError):
        server.take(firmware, wish())
    server.take(reboot, wish())
    server.take(firmware, wish())
    assert server.firmware_running == ["7.1.0.3.220"] * 2, "without the last reboot the old firmware runs on"


def test_driver_before_firmware_breaks_a_working_server_without_hot_reset():
    server = running(*OLD, hot_reset_works=False)
    firmware, driver, _ = plan_hdk(server.facts(), wish()).steps
    server.take(driver, wish())
    with pytest.raises(BrokenServerError):
        server.take(firmware, wish())


BARE = Server().facts()


@pytest.mark.parametrize(
    ("facts", "wanted", "checks"),
    [
        pytest.param(BARE, wish(npu_count=8), ["chips"], id="chips missing on the bus"),
        pytest.param(
            dataclasses.replace(BARE, bus_devices=("d801", "d801")), wish(), ["chips"], id="chips of another kind"
        ),
        pytest.param(
            dataclasses.replace(BARE, architecture="x86_64"), wish(), ["package_architecture"], id="architecture"
        ),
        pytest.param(dataclasses.replace(BARE, headers="missing"), wish(), ["kernel_headers"], id="no kernel headers"),
        pytest.param(BARE, wish(can_reboot=False), ["reboot"], id="the control side itself"),
        pytest.param(
            running(*OLD).facts(holders=(Holder(4711, "python3", "telechat"),)), wish(), ["device_in_use"], id="a job"
        ),
        pytest.param(
            dataclasses.replace(BARE, npu_smi_error="because the device is used. ret is -8020"),
            wish(),
            ["device_in_use"],
            id="npu-smi says in use",
        ),
        pytest.param(dataclasses.replace(BARE, job="job 7 of lin"), wish(), ["device_in_use"], id="a job's lease"),
        pytest.param(
            dataclasses.replace(BARE, headers="other", headers_release="6.1.0"),
            wish(),
            ["kernel_headers"],
            id="headers of another kernel",
        ),
        pytest.param(
            dataclasses.replace(BARE, installers=(Installer(99, "/root/Ascend-hdk-910b-npu-driver.run", ours=False),)),
            wish(),
            ["installer_running"],
            id="somebody else's installer",
        ),
        pytest.param(
            running(*NEW, flash_base=NEW[0]).facts(),
            wish(*OLD, allow_downgrade=True),
            ["flash_version"],
            id="below what the flash allows, even where a downgrade is",
        ),
        pytest.param(
            running(*NEW).facts(), wish(*OLD), ["firmware_downgrade", "driver_downgrade"], id="downgrade of both"
        ),
        pytest.param(running(*NEW).facts(), wish(OLD[0], NEW[1]), ["driver_downgrade"], id="downgrade of the driver"),
        pytest.param(
            dataclasses.replace(BARE, headers="missing", bus_devices=(), architecture="riscv64"),
            wish(),
            ["chips", "package_architecture", "kernel_headers"],
            id="all at once",
        ),
    ],
)
def test_refusals(facts, wanted, checks):
    plan = plan_hdk(facts, wanted)
    assert plan.steps == ()
    assert [problem.check for problem in plan.refusals] == checks
    assert all(problem.value and problem.rule and problem.next_step for problem in plan.refusals)


def test_the_refusal_names_process_and_container():
    facts = running(*OLD).facts(holders=(Holder(4711, "python3", "telechat"), Holder(12, "npu-exporter", None)))
    (problem,) = plan_hdk(facts, wish()).refusals
    assert problem.value == "python3 (pid 4711, container telechat), npu-exporter (pid 12)"


def test_firmware_alone_needs_no_headers():
    facts = running(NEW[0], OLD[1]).facts(headers="missing")
    assert actions(plan_hdk(facts, wish())) == ["upgrade firmware", "reboot"]


def test_a_server_at_the_wish_is_never_refused():
    facts = running(*NEW).facts(headers="missing", holders=(Holder(4711, "python3", "telechat"),))
    assert plan_hdk(facts, wish(can_reboot=False)).refusals == ()


def test_a_step_says_what_and_why():
    steps = [str(step) for step in plan_hdk(running(*OLD).facts(), wish()).steps]
    assert steps == [
        "upgrade firmware 7.5.0.1.129: 7.1.0.5.220 is installed",
        "upgrade driver 24.1.rc3: 23.0.3 is installed",
        "reboot: the new versions run after a reboot",
    ]


def test_the_chip_that_stayed_behind_is_named():
    chips = tuple(Chip(number, 0, "910B2", "OK", "", NEW[0], NEW[1] if number else OLD[1], "OK") for number in range(2))
    (step, _) = plan_hdk(running(*NEW).facts(chips=chips), wish()).steps
    assert step.reason == "NPU 0 runs 7.1.0.5.220"


def test_firmware_is_written_for_chips_that_are_known_to_be_behind_only():
    server = running(*NEW, flash=[OLD[1]] * 2, firmware_running=[OLD[1]] * 2)
    plan = plan_hdk(server.asked_chips({1}), wish())
    assert actions(plan) == ["upgrade firmware", "reboot"]
    assert plan.steps[0].reason == "NPU 0 runs 7.1.0.5.220"
    assert plan_hdk(server.asked_chips({0, 1}), wish()).steps == ()


TELECHAT = Container("ab" * 32, "telechat", devices=True, refused=True, ours=True)
TRAINER = Container("cd" * 32, "trainer", devices=True, refused=True)


def test_an_idle_container_of_ours_is_stopped_before_the_firmware_and_started_after_the_last_reboot():
    plan = plan_hdk(running(*OLD, containers=[TELECHAT]).facts(), wish())
    assert [str(step) for step in plan.steps] == [
        "stop telechat: the driver's installer refuses while it runs, be it idle",
        "upgrade firmware 7.5.0.1.129: 7.1.0.5.220 is installed",
        "upgrade driver 24.1.rc3: 23.0.3 is installed",
        "reboot: the new versions run after a reboot",
        "start telechat: it was stopped for the driver",
    ]
    assert all(step.seconds for step in plan.steps)


def test_a_container_is_left_alone_by_a_plan_without_a_driver_step():
    assert actions(plan_hdk(running(NEW[0], OLD[1], containers=[TELECHAT]).facts(), wish())) == [
        "upgrade firmware",
        "reboot",
    ]


def test_an_idle_container_of_others_is_refused_by_name_before_anything_is_touched():
    plan = plan_hdk(running(*OLD, containers=[TELECHAT, TRAINER]).facts(), wish())
    (problem,) = plan.refusals
    assert (problem.check, plan.steps) == ("container_in_use", ())
    assert problem.value.startswith("containers trainer run")
    assert problem.next_step.startswith("docker stop trainer, run again")


def test_what_was_stopped_is_started_when_all_is_well_and_only_then():
    server = running(*NEW, stopped=[TELECHAT])
    assert actions(plan_hdk(server.facts(), wish())) == ["start"]
    sick = tuple(dataclasses.replace(chip, health="Alarm") for chip in server.facts().chips)
    assert plan_hdk(server.facts(chips=sick), wish()).steps == ()


def test_a_poller_of_the_driver_is_refused_by_its_service_before_the_firmware_and_no_obstacle_to_firmware_alone():
    poller = Holder(9, "npu-smi", None, "/dev/davinci_manager", "zabbix-agent.service")
    (problem,) = plan_hdk(running(*OLD, holders=[poller]).facts(), wish()).refusals
    assert problem.value == "npu-smi (pid 9, zabbix-agent.service) has /dev/davinci_manager open"
    assert problem.next_step.startswith("systemctl stop zabbix-agent.service")
    assert plan_hdk(running(NEW[0], OLD[1], holders=[poller]).facts(), wish()).refusals == ()


def test_components_keep_what_was_seen_of_them():
    driver = Component(on_disk=NEW[0], written_this_boot=True, interrupted=False, reboot_owed=True)
    plan = plan_hdk(dataclasses.replace(running(*NEW).facts(), driver=driver), wish())
    assert [str(step) for step in plan.steps] == ["reboot: driver 24.1.rc3 was installed in this boot"]


def test_our_own_installer_forbids_nothing():
    facts = Server().facts(installers=(Installer(99, "/root/Ascend-hdk-910b-npu-driver.run", ours=True),))
    assert actions(plan_hdk(facts, wish())) == FRESH


def test_refusals_say_what_to_do():
    facts = dataclasses.replace(
        running(*NEW, flash_base=NEW[0]).facts(),
        headers="other",
        headers_release="6.1.0",
        installers=(Installer(99, "/root/driver.run", ours=False),),
    )
    problems = {p.check: p for p in plan_hdk(facts, wish(*OLD, allow_downgrade=True)).refusals}
    assert problems["flash_version"].next_step == "set ascend_hdk_release to 24.1.rc3 or a newer one"
    assert problems["installer_running"].value == "/root/driver.run (pid 99)"
    assert problems["kernel_headers"].value == "/lib/modules/5.10.0/build has the headers of 6.1.0"
