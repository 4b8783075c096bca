# SPDX-License-Identifier: Apache-2.0
"""Plans from any state the vendor's rules allow, tried on a model of a server that knows nothing of the planner."""

import dataclasses

import pytest
from ansible.module_utils.hdk.plan import plan_hdk
from ansible.module_utils.hdk.state import Container, Holder, Installer
from ansible.module_utils.hdk.verdict import hdk_problems
from hypothesis import assume, event, given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils.hdk.server_model import (
    DEFAULT_USER,
    HOME,
    Installed,
    InstallInfo,
    Server,
)
from tests.unit.plugins.module_utils.hdk.test_plan import NEW, NEWER, OLD, running, wish

pytestmark = pytest.mark.proof

OURS = Container("ab" * 32, "telechat", devices=True, refused=True, ours=True)
OTHERS = Container("cd" * 32, "trainer", devices=True, refused=True)
PRIVILEGED = Container("ef" * 32, "exporter", devices=True)
FACTORY = "7.1.0.3.220"
VERSIONS = [OLD, ("23.0.7", "7.1.0.11.220"), NEW, NEWER]
DRIVERS = [driver for driver, _ in VERSIONS]
FIRMWARES = [firmware for _, firmware in VERSIONS]
# Uninstall both, clean, reboot; clean, driver, reboot, firmware, driver's reboot; and what a look finds only then.
MOST_STEPS = 12
MOST_REBOOTS = 3
ELSEWHERE = "/opt/Ascend"
USERS = st.sampled_from([DEFAULT_USER] * 3 + ["somebody", "root"])
POLICIES = st.sampled_from(["guide", "when_required"])
SETTLED = st.builds(
    running,
    st.sampled_from(DRIVERS),
    st.sampled_from(FIRMWARES),
    home=st.sampled_from([HOME] * 3 + [ELSEWHERE]),
    user=USERS,
    hot_reset_works=st.booleans(),
)
PIECES = ["upgrade-tool", "npu-smi", "status", "script"]


@st.composite
def parts(draw, versions, pieces):
    """Driver or firmware on disk: not there, whole, or any half of it."""
    if draw(st.booleans()):
        return None
    whole = draw(st.booleans())
    version = draw(st.sampled_from(versions)) if whole else draw(st.none() | st.sampled_from(versions))
    lacks = set() if whole else draw(st.sets(st.sampled_from(pieces)))
    return Installed(version, draw(st.sampled_from([HOME] * 3 + [ELSEWHERE])), lacks)


@st.composite
def infos(draw, driver, firmware):
    """The install info: what is elsewhere is found through it alone; what is not there may still be named."""
    homes = {}
    for name, part in (("driver", driver), ("firmware", firmware)):
        if part is None:
            named = draw(st.sampled_from([False] * 4 + [True]))
        else:
            named = part.home != HOME or draw(st.sampled_from([True] * 4 + [False]))
        if named:
            homes[name] = part.home if part else HOME
    # One that names nothing any more, but a user, is what a removal by hand leaves.
    if not homes and (driver or firmware or draw(st.booleans())):
        return None
    user = draw(USERS)
    return InstallInfo(user, user, draw(st.booleans()), homes)


@st.composite
def unsettled(draw):
    """Any state the vendor's rules allow, plausible or not."""
    driver, firmware = draw(parts(DRIVERS, PIECES)), draw(parts(FIRMWARES, ["script"]))
    flash = draw(st.lists(st.sampled_from([FACTORY, *FIRMWARES]), min_size=2, max_size=2))
    likely = [driver.version] * 4 if driver and driver.version else []
    return Server(
        driver=driver,
        firmware=firmware,
        info=draw(infos(driver, firmware)),
        dkms=draw(st.sampled_from(["none", "built", "failed"])),
        module_built=draw(st.booleans()),
        driver_running=draw(st.none() | st.sampled_from([*DRIVERS, *likely])),
        flash=flash,
        firmware_running=draw(st.just(list(flash)) | st.lists(st.sampled_from(FIRMWARES), min_size=2, max_size=2)),
        flash_base=draw(st.none() | st.sampled_from(DRIVERS)),
        hot_reset_works=draw(st.booleans()),
        interrupted=draw(st.sets(st.sampled_from(["driver", "firmware"]))),
        written_this_boot=draw(st.sets(st.sampled_from(["driver", "firmware"]))),
        removed={"driver"} if driver is None and draw(st.booleans()) else set(),
    )


def servers():
    """Servers on which one HDK runs as it should, and all others."""
    return unsettled() | SETTLED


@st.composite
def wishes(draw, **fixed):
    user = draw(USERS)
    values = {
        "reboot_policy": draw(POLICIES),
        "foreign": draw(st.sampled_from(["reinstall", "refuse"])),
        "allow_downgrade": draw(st.booleans()),
        "user": user,
        "group": user,
    }
    return wish(*draw(st.sampled_from(VERSIONS)), **{**values, **fixed})


@st.composite
def situations(draw, **fixed):
    """A server and a wish for it."""
    server = draw(servers())
    # A firmware's installer takes no run user: where the driver's was lost, only the default one can come out.
    lost = server.driver is not None and not server.facts().driver.named
    if lost:
        fixed = {**fixed, "user": DEFAULT_USER, "group": DEFAULT_USER}
    return server, draw(wishes(**fixed))


REPLACING = situations(foreign="reinstall", allow_downgrade=True)


def drive(server, wanted):
    """Take the first step of a plan until there is none, as the project does; return the steps and the last plan."""
    taken = []
    while True:
        plan = plan_hdk(server.facts(), wanted)
        if not plan.steps:
            return taken, plan
        assert plan.steps[0].condition is None, "nothing may stand before a step that was decided"
        assert len(taken) < MOST_STEPS, [str(step) for step in taken]
        server.take(plan.steps[0], wanted)
        taken.append(plan.steps[0])


def is_as_wished(server, wanted):
    driver = server.driver
    return (
        server.answers()
        and driver.version == server.driver_running == wanted.driver_version
        and driver.home == HOME
        and not driver.lacks - {"script"}
        and set(server.firmware_running) == {wanted.firmware_version}
        # An install info that was lost is not written anew for what runs, nor one that names nothing.
        and (server.info is None or not server.info.homes or server.info.user == wanted.user)
    )


ALLOWED = {"flash_version", "uninstall_script"}


@given(situation=REPLACING)
def test_every_plan_ends_at_the_wish_within_bounds_or_says_why_not(situation):
    server, wanted = situation
    taken, plan = drive(server, wanted)
    checks = {problem.check for problem in plan.refusals}
    event(f"{len(taken)} steps, {'refused' if checks else 'done'}")
    assert checks <= ALLOWED
    if checks:
        assert taken == [], "what is refused is refused before anything is done"
    else:
        assert is_as_wished(server, wanted)
        assert server.reboots <= MOST_REBOOTS
        assert plan_hdk(server.facts(), wanted).steps == ()


@given(
    server=SETTLED.filter(lambda server: server.driver.home == HOME), target=st.sampled_from(VERSIONS), policy=POLICIES
)
def test_over_a_driver_that_works_one_reboot_is_enough(server, target, policy):
    user = server.info.user
    wanted = wish(*target, reboot_policy=policy, allow_downgrade=True, user=user, group=user)
    drive(server, wanted)
    assert is_as_wished(server, wanted)
    assert server.reboots <= 1


SILENT = st.sets(st.integers(0, 1), min_size=1)


@given(server=SETTLED.filter(lambda server: server.driver.home == HOME), silent=SILENT, policy=POLICIES)
def test_a_healthy_server_is_left_alone_when_chips_do_not_tell_their_versions(server, silent, policy):
    """`NA`, an error or a hung query is no reason to install anything, or to reboot: it is a problem."""
    user = server.info.user
    wanted = wish(server.driver.version, server.firmware.version, reboot_policy=policy, user=user, group=user)
    hung = dataclasses.replace(server.facts(), chips=(), chips_unknown=True, npu_smi_error="no answer within 120 s")
    for facts in (server.asked_chips(silent), hung):
        assert plan_hdk(facts, wanted).steps == ()
        assert hdk_problems(facts, wanted)


@given(situation=REPLACING, silent=SILENT)
def test_what_chips_do_not_tell_adds_no_step(situation, silent):
    server, wanted = situation
    known = {(step.action, step.component) for step in plan_hdk(server.facts(), wanted).steps}
    found = plan_hdk(server.asked_chips(silent), wanted)
    assert {(step.action, step.component) for step in found.steps if step.condition is None} <= known
    assert not found.steps or found.steps[0].condition is None


OBSTACLES = {
    "headers": ["present", "missing", "other"],
    "holders": [
        [],
        [Holder(7, "python3", None)],
        [Holder(8, "python3", "telechat")],
        [Holder(9, "iBMA", None, "/dev/davinci_manager", "iBMA.service")],
    ],
    "installer": [None, Installer(9, "/root/Ascend-hdk-910b-npu-driver.run", ours=False)],
    "containers": [[], [PRIVILEGED], [OURS], [OTHERS], [OURS, OTHERS]],
}


@given(situation=situations() | situations(state="absent"), data=st.data())
def test_nothing_is_proposed_that_an_installer_refuses(situation, data):
    """Whatever stands in the way, the model's installers never raise, and a refusal changes nothing."""
    server, wanted = situation
    for name, values in OBSTACLES.items():
        setattr(server, name, data.draw(st.sampled_from(values), label=name))
    before = server.copy()
    taken, plan = drive(server, wanted)
    if not taken:
        assert server == before
        assert plan.refusals or wanted.state == "absent" or is_as_wished(server, wanted)
    assert all(problem.value and problem.rule and problem.next_step for problem in plan.refusals)


@given(situation=REPLACING)
def test_what_is_shown_is_what_is_done(situation):
    server, wanted = situation
    # What the flash holds is known where a look sees it: it runs, or it was written since the boot as the disk says.
    written = "firmware" in server.written_this_boot and server.firmware is not None
    on_disk = server.firmware.version if server.firmware else None
    flash_is_seen = set(server.flash) == {on_disk} if written else server.flash == server.firmware_running
    answers = server.answers()
    assume(flash_is_seen or not answers)
    plan = plan_hdk(server.facts(), wanted)
    assume(not plan.refusals)
    # That the next boot finds no module for its kernel is seen only then.
    assume(server.module_built or server.driver is None or not (server.written_this_boot or server.driver_running))
    shown, (done, _) = plan.steps, drive(server, wanted)
    left = not_shown(shown, done)
    if answers:
        assert left == []


def not_shown(shown, done):
    """Return what was done beyond what was shown; what was shown and not done must have had a condition."""
    left = list(done)
    for step in shown:
        if left and same_step(step, left[0]):
            del left[0]
            # What scripts leave may come to light in two goes.
            while step.action == "clean" and step.condition and left and left[0].action == "clean":
                del left[0]
        else:
            assert step.condition, f"{step} was shown and not done"
    return left


def same_step(shown, done):
    """Tell whether a step was shown as it was done; what one cleans may be more, once others have made place."""
    same = (shown.action, shown.component, shown.version) == (done.action, done.component, done.version)
    return same and set(shown.targets) <= set(done.targets)


@given(situation=REPLACING)
def test_reboots_when_required_are_never_more_than_the_guides(situation):
    server, wanted = situation
    taken = {}
    for policy in ("guide", "when_required"):
        copy = server.copy()
        drive(copy, dataclasses.replace(wanted, reboot_policy=policy))
        taken[policy] = copy.reboots
    assert taken["when_required"] <= taken["guide"] <= MOST_REBOOTS


@given(situation=REPLACING, cut=st.integers(0, MOST_STEPS))
def test_a_power_cut_in_any_step_is_cured_by_going_on(situation, cut):
    server, wanted = situation
    server.flash_base = None
    for _ in range(cut):
        steps = plan_hdk(server.facts(), wanted).steps
        if steps:
            server.take(steps[0], wanted)
    plan = plan_hdk(server.facts(), wanted)
    assume(not plan.refusals)
    if plan.steps and plan.steps[0].action not in ("clean", "reboot"):
        server.power_cut(plan.steps[0], wanted.user, wanted.group)
    drive(server, wanted)
    assert is_as_wished(server, wanted)


def test_an_install_info_that_names_no_script_is_in_nobodys_way():
    """It names a driver that is gone, for another user; the script of a firmware is there, which it does not name."""
    server = Server(
        info=InstallInfo(user="ascend", group="ascend", homes={"driver": HOME}),
        firmware=Installed("7.5.0.1.129"),
    )
    wanted = wish(user="root", group="root", foreign="reinstall")
    drive(server, wanted)
    assert is_as_wished(server, wanted)


@given(situation=REPLACING, cut=st.integers(0, MOST_STEPS), again=st.booleans())
def test_our_container_runs_again_at_the_end_whatever_was_cut(situation, cut, again):
    server, wanted = situation
    server.flash_base, server.containers = None, [OURS]
    for _ in range(cut):
        steps = plan_hdk(server.facts(), wanted).steps
        if steps:
            server.take(steps[0], wanted)
    plan = plan_hdk(server.facts(), wanted)
    assume(not plan.refusals)
    if again and plan.steps and plan.steps[0].component:
        server.power_cut(plan.steps[0], wanted.user, wanted.group)
    drive(server, wanted)
    assert is_as_wished(server, wanted)
    assert (server.containers, server.stopped) == ([OURS], [])


@given(server=servers(), policy=POLICIES)
def test_a_removal_ends_bare_and_stays_so(server, policy):
    wanted = wish(state="absent", reboot_policy=policy)
    taken, plan = drive(server, wanted)
    if plan.refusals:
        assert {problem.check for problem in plan.refusals} == {"uninstall_script"}
        assert taken == []
        return
    assert server.is_bare()
    assert server.reboots <= 1
    assert plan_hdk(server.facts(), wanted).steps == ()


@given(server=servers(), policy=POLICIES)
def test_what_a_removal_shows_is_what_it_does(server, policy):
    wanted = wish(state="absent", reboot_policy=policy)
    shown = plan_hdk(server.facts(), wanted).steps
    done, plan = drive(server, wanted)
    assume(not plan.refusals)
    left = not_shown(shown, done)
    assert left == []


@given(situation=REPLACING)
def test_after_a_removal_a_server_is_installed_as_a_bare_one(situation):
    server, wanted = situation
    server.flash_base = None
    _, plan = drive(server, wish(state="absent"))
    assume(not plan.refusals)
    taken, _ = drive(server, wanted)
    assert [step.action for step in taken if step.action not in ("reboot", "upgrade")][:1] == ["install"]
    assert is_as_wished(server, wanted)


def test_a_bare_server_whose_chips_already_run_the_firmware_is_spared_a_reboot():
    server = Server(flash=[NEW[1]] * 2, firmware_running=[NEW[1]] * 2)
    shown = [str(step) for step in plan_hdk(server.facts(), wish()).steps]
    assert shown == [
        "install driver 24.1.rc3: no driver is installed",
        "reboot: the driver is loaded by a reboot",
        "install firmware 7.5.0.1.129, unless the chips already run it: no firmware is installed",
        "reboot, if firmware was written: the firmware runs after a reboot",
    ]
    taken, _ = drive(server, wish())
    assert [step.action for step in taken] == ["install", "reboot"]
