# SPDX-License-Identifier: Apache-2.0
"""Plans from every state a server can be in, proved against an independent model of a server."""

import dataclasses

import pytest
from ansible.module_utils.hdk_plan import plan_hdk
from ansible.module_utils.hdk_state import Chip, Component, HdkWish, Holder
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils.hdk_server_model import BrokenServerError, Server

OLD, NEW = ("23.0.3", "7.1.0.5.220"), ("24.1.rc3", "7.5.0.1.129")
FACTORY = "7.1.0.3.220"
MOST_STEPS = 8


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
    }
    return HdkWish(**{**values, **changes})


def running(driver, firmware, **changes):
    """A server on which everything of one HDK runs."""
    return Server(
        driver_disk=driver,
        driver_running=driver,
        firmware_disk=firmware,
        flash=[firmware] * 2,
        firmware_running=[firmware] * 2,
        **changes,
    )


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
        pytest.param(
            Server(driver_disk=NEW[0], driver_running=NEW[0]), ["install firmware", "reboot"], id="driver, no firmware"
        ),
        pytest.param(
            Server(driver_disk=OLD[0], driver_running=OLD[0]),
            ["install firmware", "upgrade driver", "reboot"],
            id="older driver, no firmware",
        ),
        pytest.param(
            Server(driver_running=OLD[0], firmware_disk=OLD[1]),
            ["install driver", "reboot", "upgrade firmware", "reboot"],
            id="driver uninstalled, not rebooted",
        ),
        pytest.param(
            Server(driver_disk=NEW[0], written_this_boot={"driver"}, hot_reset_works=False),
            ["reboot", "install firmware", "reboot"],
            id="driver installed, not rebooted",
        ),
        pytest.param(
            dataclasses.replace(running(*NEW), firmware_running=[OLD[1]] * 2, written_this_boot={"firmware"}),
            ["reboot"],
            id="firmware installed, not rebooted",
        ),
        pytest.param(
            dataclasses.replace(running(*NEW), driver_running=OLD[0], written_this_boot={"driver"}),
            ["reboot"],
            id="driver upgraded, not rebooted",
        ),
        pytest.param(
            dataclasses.replace(running(*NEW), flash=[NEW[1], OLD[1]], firmware_running=[NEW[1], OLD[1]]),
            ["upgrade firmware", "reboot"],
            id="one chip not upgraded",
        ),
        pytest.param(
            dataclasses.replace(running(*NEW), driver_running=None, module_built=False),
            ["upgrade driver", "reboot"],
            id="driver without a module for this kernel",
        ),
        pytest.param(
            Server(interrupted={"driver"}, npu_smi_there=False), FRESH, id="power cut in a fresh driver's installation"
        ),
        pytest.param(
            dataclasses.replace(running(*OLD), driver_disk=NEW[0], interrupted={"driver"}, npu_smi_there=False),
            ["install driver", "reboot", "upgrade firmware", "reboot"],
            id="power cut in a driver's upgrade",
        ),
        pytest.param(
            dataclasses.replace(running(*NEW), interrupted={"firmware"}),
            ["upgrade firmware", "reboot"],
            id="power cut in the firmware",
        ),
        pytest.param(
            dataclasses.replace(running(*NEW), firmware_disk=None), [], id="firmware runs, its files are uninstalled"
        ),
    ],
)
def test_plan_of_each_state(server, expected):
    plan = plan_hdk(server.facts(), wish())
    assert not plan.refusals
    assert actions(plan) == expected
    assert all(step.reason for step in plan.steps)


def test_when_required_leaves_the_reboot_after_a_fresh_driver_to_its_installer():
    plan = plan_hdk(Server().facts(), wish(reboot_policy="when_required"))
    assert actions(plan) == FRESH
    assert plan.steps[1].condition == "if the installer asks for it"


def test_a_bare_server_whose_chips_already_run_the_firmware_is_spared_a_reboot():
    server = Server(flash=[NEW[1]] * 2, firmware_running=[NEW[1]] * 2)
    shown = [str(step) for step in plan_hdk(server.facts(), wish()).steps]
    assert shown == [
        "install driver 24.1.rc3: no driver is installed",
        "reboot: the driver is loaded by a reboot",
        "install firmware 7.5.0.1.129, unless the chips already run it: no firmware is installed",
        "reboot, if firmware was written: the firmware runs after a reboot",
    ]
    assert [step.action for step in drive(server, wish())] == ["install", "reboot"]


def test_versions_are_compared_as_versions():
    assert plan_hdk(running("24.1.RC3", NEW[1]).facts(), wish()).steps == ()


VERSIONS = [OLD, ("23.0.7", "7.1.0.11.220"), NEW, ("25.2.0", "7.7.0.6.236")]
DRIVERS = [driver for driver, _ in VERSIONS]
FIRMWARES = [firmware for _, firmware in VERSIONS]


@st.composite
def servers(draw):
    """Any state the vendor's rules allow, plausible or not."""
    disk = draw(st.none() | st.sampled_from(DRIVERS))
    interrupted = draw(st.sets(st.sampled_from(["driver", "firmware"])))
    flash = draw(st.lists(st.sampled_from([FACTORY, *FIRMWARES]), min_size=2, max_size=2))
    return Server(
        driver_disk=disk,
        driver_running=draw(st.none() | st.sampled_from([*DRIVERS, *([disk] * 4 if disk else [])])),
        module_built=draw(st.booleans()) if disk else False,
        npu_smi_there=disk is not None and "driver" not in interrupted,
        firmware_disk=draw(st.none() | st.sampled_from(FIRMWARES)),
        flash=flash,
        firmware_running=draw(st.just(list(flash)) | st.lists(st.sampled_from(FIRMWARES), min_size=2, max_size=2)),
        hot_reset_works=draw(st.booleans()),
        interrupted=interrupted,
        written_this_boot=draw(st.sets(st.sampled_from(["driver", "firmware"]))),
        reboot_owed=set(),
    )


POLICIES = st.sampled_from(["guide", "when_required"])


def drive(server, wanted):
    """Take the first step of a plan until there is none, as the module does; return the steps taken."""
    taken = []
    while True:
        plan = plan_hdk(server.facts(), wanted)
        assert not plan.refusals, plan.refusals
        if not plan.steps:
            return taken
        assert plan.steps[0].condition is None, "nothing may stand before a step that was decided"
        assert len(taken) < MOST_STEPS, [str(step) for step in taken]
        server.take(plan.steps[0], wanted.reboot_policy)
        taken.append(plan.steps[0])


@given(server=servers(), target=st.sampled_from(VERSIONS), policy=POLICIES)
def test_every_plan_ends_at_the_wish_within_bounds(server, target, policy):
    wanted = wish(*target, reboot_policy=policy, allow_downgrade=True)
    drive(server, wanted)
    assert server.answers()
    assert server.driver_running == target[0]
    assert set(server.firmware_running) == {target[1]}
    assert plan_hdk(server.facts(), wanted).steps == ()


@given(server=servers(), target=st.sampled_from(VERSIONS))
def test_what_is_shown_is_what_is_done(server, target):
    wanted = wish(*target, allow_downgrade=True)
    # What the flash holds is known where a look sees it: it runs, or it was written since the boot as the disk says.
    written = "firmware" in server.written_this_boot
    flash_is_seen = set(server.flash) == {server.firmware_disk} if written else server.flash == server.firmware_running
    answers = server.answers()
    assume(flash_is_seen or not answers)
    shown = plan_hdk(server.facts(), wanted).steps
    # That the next boot finds no module for its kernel is seen only then.
    assume(server.module_built or server.driver_disk is None or not (server.written_this_boot or server.driver_running))
    done = drive(server, wanted)
    left = list(done)
    for step in shown:
        if left and (step.action, step.component, step.version) == (left[0].action, left[0].component, left[0].version):
            del left[0]
        else:
            assert step.condition, f"{step} was shown and not done"
    if answers:
        assert left == []


@given(server=servers(), target=st.sampled_from(VERSIONS))
def test_reboots_when_required_are_never_more_than_the_guides(server, target):
    taken = {}
    for policy in ("guide", "when_required"):
        copy = dataclasses.replace(
            server,
            flash=list(server.flash),
            firmware_running=list(server.firmware_running),
            interrupted=set(server.interrupted),
            written_this_boot=set(server.written_this_boot),
            reboot_owed=set(),
        )
        drive(copy, wish(*target, reboot_policy=policy, allow_downgrade=True))
        taken[policy] = copy.reboots
    assert taken["when_required"] <= taken["guide"] <= 3


@given(server=servers(), target=st.sampled_from(VERSIONS), policy=POLICIES, cut=st.integers(0, MOST_STEPS))
def test_a_power_cut_in_any_step_is_cured_by_going_on(server, target, policy, cut):
    wanted = wish(*target, reboot_policy=policy, allow_downgrade=True)
    for _ in range(cut):
        steps = plan_hdk(server.facts(), wanted).steps
        if steps:
            server.take(steps[0], policy)
    steps = plan_hdk(server.facts(), wanted).steps
    if steps and steps[0].component == "driver":
        server.driver_disk, server.module_built, server.npu_smi_there = steps[0].version, False, False
    elif steps and steps[0].component == "firmware":
        server.flash[0] = steps[0].version
    if steps and steps[0].component:
        server.interrupted.add(steps[0].component)
        server.reboot()
    drive(server, wanted)
    assert server.driver_running == target[0]
    assert set(server.firmware_running) == {target[1]}


def test_the_model_breaks_on_the_wrong_order():
    driver, reboot, firmware, _ = plan_hdk(Server().facts(), wish()).steps
    with pytest.raises(BrokenServerError):
        Server().take(firmware, "guide")
    server = Server(hot_reset_works=False)
    server.take(driver, "guide")
    with pytest.raises(BrokenServerError):
        server.take(firmware, "guide")
    server.take(reboot, "guide")
    server.take(firmware, "guide")
    assert server.firmware_running == [FACTORY] * 2, "without the last reboot the old firmware runs on"


def test_driver_before_firmware_breaks_a_working_server_without_hot_reset():
    server = running(*OLD, hot_reset_works=False)
    firmware, driver, _ = plan_hdk(server.facts(), wish()).steps
    server.take(driver, "guide")
    with pytest.raises(BrokenServerError):
        server.take(firmware, "guide")


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


def test_an_unknown_running_version_is_not_the_wanted_one():
    chips = tuple(dataclasses.replace(chip, firmware_version=None) for chip in running(*NEW).facts().chips)
    plan = plan_hdk(running(*NEW).facts(chips=chips), wish())
    assert actions(plan) == ["upgrade firmware", "reboot"]
    assert plan.steps[0].reason == "NPU 0, 1 runs an unknown version"


def test_components_keep_what_was_seen_of_them():
    driver = Component(on_disk=NEW[0], written_this_boot=True, interrupted=False, reboot_owed=True)
    plan = plan_hdk(dataclasses.replace(running(*NEW).facts(), driver=driver), wish())
    assert [str(step) for step in plan.steps] == ["reboot: driver 24.1.rc3 was installed in this boot"]
