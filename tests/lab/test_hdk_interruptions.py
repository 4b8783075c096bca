# SPDX-License-Identifier: Apache-2.0
"""Driver and firmware on servers where something is cut in the middle: power, the control side, the link.

Each server has an interruption of its own, some on their way from no HDK, some from an older one. The tests read what
came of it: the interrupted play, the one that is run again, and the one after.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.controller import A_PLAYS_PATIENCE, Controller
from tests.lab.site import Site, new_site, run

pytestmark = pytest.mark.lab

CHIPS = 2
WISH = {"driver": "24.1.rc3", "firmware": "7.5.0.1.129"}
NO_HDK = "prepared"
OLDER = "older-driver-and-firmware"
# A dead connection is noticed when something is sent. A link that is cut stays so for 12 s before ssh gives it up.
SSH = "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=2 -o ServerAliveCountMax={count}"
PATIENT = SSH.format(count=30)
HASTY = SSH.format(count=6)
INSTALL_LOG = "/var/log/ascend_seclog/ascend_install.log"
# What a server says of itself at the end. The audit log has the installers that came to an end, makeself's all of them.
LOOK = r"""
import json, os, re, subprocess

def lines(path):
    return open(path).read().splitlines()

def board(chip):
    answer = subprocess.run(["npu-smi", "info", "-t", "board", "-i", str(chip)], capture_output=True, text=True)
    found = dict(re.findall(r"(Software|Firmware) Version +: (\S+)", answer.stdout))
    return {"driver": found.get("Software"), "firmware": found.get("Firmware")}

record = json.load(open("/var/lib/ascend-hdk/record.json"))
print(json.dumps({
    "running": [board(chip) for chip in range(len(os.listdir("/sys/bus/pci/devices")))],
    "started": [line for line in lines("/root/log/makeself/makeself.log") if "--check" not in line],
    "ended": lines("/var/log/ascend_seclog/operation.log"),
    "finished": {name: record[name]["finished"] for name in ("driver", "firmware")},
    "kept": sorted(os.listdir("/var/lib/ascend-hdk")),
    "packages": sorted(os.listdir("/var/lib/ascend-hdk/packages")),
    "half_built": os.path.exists("/var/lib/dkms/davinci_ascend/1.0/build"),
}))
"""

# What the recap counts as failed and unreachable, by the play's exit code.
OUTCOMES = {0: (0, 0), 2: (1, 0), 4: (0, 1)}
RESTARTED = "was restarted in the middle of its steps"


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """What happens to a server in which state, and what its play then says of it.

    `starts` is how often the installers of driver and firmware are started until all is well. Of two plays
    `one_ends_so` at least: it reboots the server, perhaps in the middle of a task of the other.
    """

    what: str
    state: str
    fault: str
    exit_code: int | None
    says: tuple[str, ...] = ()
    starts: tuple[int, int] = (1, 1)
    one_ends_so: bool = False


def cut(state: str, what: str, fault: str, starts: tuple[int, int]) -> Interruption:
    """Power is lost in the middle of an installer: the play fails for this server and says why."""
    return Interruption(what=what, state=state, fault=fault, exit_code=2, says=(RESTARTED,), starts=starts)


def killed(state: str, what: str, fault: str) -> Interruption:
    """The control side is killed: it says nothing any more, and nothing is done twice."""
    return Interruption(what=what, state=state, fault=fault, exit_code=None)


def survived(state: str, what: str, fault: str, *says: str) -> Interruption:
    """The play goes on to its end."""
    return Interruption(what=what, state=state, fault=fault, exit_code=0, says=says)


CUTS = {
    f"node{number}": case
    for number, case in enumerate(
        [
            cut(NO_HDK, "power is cut at 10 % of the driver", "power_cut=driver:10", (2, 1)),
            cut(NO_HDK, "power is cut at 40 % of the driver", "power_cut=driver:40", (2, 1)),
            cut(NO_HDK, "power is cut at 90 % of the driver", "power_cut=driver:90", (2, 1)),
            cut(NO_HDK, "power is cut at 50 % of the firmware", "power_cut=firmware:50", (1, 2)),
            cut(OLDER, "power is cut at 10 % of the driver", "power_cut=driver:10", (2, 1)),
            cut(OLDER, "power is cut at 40 % of the driver", "power_cut=driver:40", (2, 1)),
            cut(OLDER, "power is cut at 90 % of the driver", "power_cut=driver:90", (2, 1)),
            cut(OLDER, "power is cut at 50 % of the firmware", "power_cut=firmware:50", (1, 2)),
            survived(OLDER, "power is cut while the server boots", "power_cut=boot:0"),
        ]
    )
}
SERVERS = {
    **CUTS,
    "node9": survived(NO_HDK, "power is off while the play waits for the reboot", "no_boot"),
    "node10": killed(NO_HDK, "controller is killed while the driver is installed", "stall=driver:40"),
    "node11": killed(OLDER, "controller is killed while the firmware is installed", "stall=firmware:50"),
    "node12": killed(OLDER, "controller is killed while the server reboots", "no_boot"),
    "node13": Interruption(
        what="link is lost for longer than the play waits",
        state=OLDER,
        fault="stall=driver:40",
        exit_code=4,
        says=("node13: no connection", "node13 gives no answer for 1 s", "run the playbook again"),
    ),
    "node14": survived(
        NO_HDK,
        "link is lost and comes back",
        "stall=driver:40",
        "node14: no connection",
        "node14: connected again",
    ),
    "node15": Interruption(
        what="two controllers come at once",
        state=OLDER,
        fault="stall=driver:40",
        exit_code=0,
        says=("node15: upgrade driver 24.1.rc3: 40 %",),
        one_ends_so=True,
    ),
}
CASES = [
    pytest.param(server, case, id=f"{'fresh' if case.state == NO_HDK else 'older'}: {case.what}")
    for server, case in SERVERS.items()
]


Start = Callable[..., Controller]


@dataclass(frozen=True, kw_only=True)
class Story:
    """What came of it: the plays, each server's boots before and after the last of them, what it says at the end."""

    interrupted: dict[str, tuple[Controller, ...]]
    again: Controller
    after: Controller
    boots: dict[str, tuple[int, int]]
    servers: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Servers in the states that their cases begin with."""
    servers = ("--hosts", str(len(SERVERS)), "--chips", str(CHIPS), "--no-mindspore", "--off")
    with new_site("interruptions", *servers) as site:
        site.lab("state", *(f"{server}={case.state}" for server, case in SERVERS.items()))
        yield site


@pytest.fixture(scope="module")
def start(site: Site) -> Iterator[Start]:
    """Start controllers, which end with the tests at the latest."""
    started: list[Controller] = []

    def begin(name: str, *options: str, ssh: str = PATIENT) -> Controller:
        # On a machine that is busy it takes long from the control side's clock to the server's.
        settings = {"ansible_ssh_args": ssh, "preflight_clock_skew_seconds": A_PLAYS_PATIENCE}
        options = ("-e", json.dumps(settings), *options)
        started.append(Controller(site, name, "playbooks/hdk.yml", *options))
        return started[-1]

    yield begin
    for controller in started:
        controller.kill()


@pytest.fixture(scope="module")
def story(site: Site, start: Start) -> Story:
    """Interrupt all servers, run again, run once more."""
    for server, case in SERVERS.items():
        site.lab("fault", server, case.fault)
    fleet = start("fleet", "--limit", ",".join([*CUTS, "node9"]))
    dying = {server: start(server, "--limit", server) for server in ("node10", "node11", "node12")}
    lost = start("node13", "--limit", "node13", "-e", "ascend_hdk_patience=1", "--timeout", "3", ssh=HASTY)
    away = start("node14", "--limit", "node14", ssh=HASTY)
    two = (start("node15-one", "--limit", "node15"), start("node15-other", "--limit", "node15"))
    kill_controllers(site, dying)
    lose_links(site, lost, away)
    for controller in two:
        controller.wait_for("node15: upgrade driver 24.1.rc3: 40 %")
    mend(site, "node15")
    fleet.wait_until(lambda: held(site, "node9"))
    site.lab("power", "node9", "off")
    mend(site, "node9")
    site.lab("power", "node9", "on")
    for controller in (fleet, lost, away, *two):
        controller.wait()
    site.lab("link", "node13", "up")
    again = start("again")
    again.wait_for("node10: install driver 24.1.rc3: 40 %")
    again.wait_for("node11: upgrade firmware 7.5.0.1.129: 50 %")
    mend(site, "node10", "node11")
    again.wait()
    before = site.boots()
    after = start("after")
    after.wait()
    now = site.boots()
    interrupted = {
        **dict.fromkeys(SERVERS, (fleet,)),
        **{server: (controller,) for server, controller in dying.items()},
    }
    return Story(
        interrupted={**interrupted, "node13": (lost,), "node14": (away,), "node15": two},
        again=again,
        after=after,
        boots={server: (before[server], now[server]) for server in SERVERS},
        servers={server: json.loads(site.on(server, "python3", "-c", LOOK)) for server in SERVERS},
    )


def kill_controllers(site: Site, controllers: dict[str, Controller]) -> None:
    """Kill each when its server is in the middle of what the case names; the installers stay where they are."""
    moments = {
        "node10": lambda: stalled(site, "node10", "40%"),
        "node11": lambda: stalled(site, "node11", " 50%"),
        "node12": lambda: held(site, "node12"),
    }
    for server, moment in moments.items():
        controllers[server].wait_until(moment)
        controllers[server].kill()
    mend(site, "node12")


def lose_links(site: Site, lost: Controller, away: Controller) -> None:
    """Pull two cables out while the driver is installed, put one back when its play has noticed."""
    for server, controller in (("node13", lost), ("node14", away)):
        controller.wait_until(lambda server=server: stalled(site, server, "40%"))
        site.lab("link", server, "down")
    mend(site, "node13")
    away.wait_for("node14: no connection")
    site.lab("link", "node14", "up")
    away.wait_for("node14: connected again")
    mend(site, "node14")


def mend(site: Site, *servers: str) -> None:
    for name in servers:
        site.lab("fault", name, "--clear")


def held(site: Site, server: str) -> bool:
    """Tell whether a server is switched off in the middle of its reboot."""
    return bool(site.status()[server]["state"] == "held")


def stalled(site: Site, server: str, progress: str) -> bool:
    """Tell whether an installer has reached its stall, which is the last that it says."""
    script = f"tail -n 1 {INSTALL_LOG} | grep -q 'upgradePercentage:{progress}'"
    argv = site.lab_argv("shell", server, "--", "sh", "-c", script)
    return run(argv, log="interruptions-shell").returncode == 0


@pytest.mark.parametrize(("server", "case"), CASES)
def test_the_interrupted_play_tells_what_happened(story: Story, server: str, case: Interruption) -> None:
    controllers = story.interrupted[server]
    if case.exit_code is None:
        assert [controller.wait() for controller in controllers] == [-signal.SIGKILL]
        return
    told = [controller.recap()[server] for controller in controllers]
    as_expected = [(seen.failed, seen.unreachable) == OUTCOMES[case.exit_code] for seen in told]
    assert any(as_expected) if case.one_ends_so else all(as_expected)
    for controller in controllers:
        assert [text for text in case.says if text not in controller.says()] == []


@pytest.mark.parametrize(("server", "case"), CASES)
def test_running_again_ends_at_the_wish(story: Story, server: str, case: Interruption) -> None:
    assert story.again.recap()[server].failed == 0, case.what
    assert story.servers[server]["running"] == [WISH] * CHIPS


@pytest.mark.parametrize(("server", "case"), CASES)
def test_the_run_after_that_changes_nothing(story: Story, server: str, case: Interruption) -> None:
    told = story.after.recap()[server]
    assert (told.changed, told.failed, told.unreachable) == (0, 0, 0), case.what
    assert story.boots[server][0] == story.boots[server][1]


@pytest.mark.parametrize(("server", "case"), CASES)
def test_no_installer_ran_without_need(story: Story, server: str, case: Interruption) -> None:
    seen = story.servers[server]
    assert tuple(sum(version in line for line in seen["started"]) for version in WISH.values()) == case.starts
    assert [sum(version in line for line in seen["ended"]) for version in WISH.values()] == [1, 1]
    assert [line for line in seen["ended"] if " success " not in line] == []


@pytest.mark.parametrize(("server", "case"), CASES)
def test_nothing_half_done_is_left(story: Story, server: str, case: Interruption) -> None:
    seen = story.servers[server]
    assert seen["finished"] == {"driver": True, "firmware": True}, case.what
    assert seen["kept"] == ["packages", "record.json"]
    assert [any(version in name for version in WISH.values()) for name in seen["packages"]] == [True, True]
    assert seen["half_built"] is False
