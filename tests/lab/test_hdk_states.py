# SPDX-License-Identifier: Apache-2.0
"""Whatever state a server is in: what is refused and why, what is planned, what comes of it, and that it is the end.

Every row is a server of its own in one lab. All of them take part in each play: one in which what cannot go on is
refused, one that shows the plans, one that carries them out, and one that finds nothing to do.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.states import STATES
from tests.lab.site import Recap, Site, new_site, recap, run

pytestmark = pytest.mark.lab

PLAYBOOK = "playbooks/hdk.yml"
CHIPS = 2
WANTED = ("24.1.rc3", "7.5.0.1.129")
REINSTALL = {"ascend_hdk_foreign_installation": "reinstall"}
DOWNGRADE = {"ascend_hdk_allow_downgrade": True}
# A busy machine keeps a server waiting between the two looks at the clock; a server may lose a reboot or two to it.
PATIENT = ("-e", "preflight_clock_skew_seconds=900", "--forks", "10")


@dataclass(frozen=True)
class Row:
    """A server: its state, what refuses it at first, what is changed then, the plan, how often it is rebooted.

    A step that is taken only if what it names turns out so has a `?`. No plan: it is not brought to the wish.
    """

    state: str
    refusal: str | None = None
    # Done on the server after the refusal, and what its inventory says then.
    remedy: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    plan: tuple[str, ...] | None = None
    reboots: int = 0


FRESH = ("install driver", "reboot", "install firmware?", "reboot?")
REINSTALLED = ("uninstall firmware", "uninstall driver", "clean?", "reboot", "install driver", "reboot")
TABLE = (
    Row("bare", plan=("install packages", "make", *FRESH), reboots=2),
    Row(
        "prepared",
        settings={"ascend_hdk_reboot": "when_required"},
        plan=("install driver", "reboot?", "install firmware?", "reboot?"),
        reboots=1,
    ),
    Row("same", plan=()),
    Row("older-driver-and-firmware", plan=("upgrade firmware", "upgrade driver", "reboot"), reboots=1),
    Row("older-driver", plan=("upgrade driver", "reboot"), reboots=1),
    Row("older-firmware", plan=("upgrade firmware", "reboot"), reboots=1),
    Row("driver-without-firmware", plan=("install firmware", "reboot"), reboots=1),
    Row("firmware-not-running", plan=("reboot",), reboots=1),
    Row("driver-not-running", plan=("reboot",), reboots=1),
    Row("one-chip-behind", plan=("upgrade firmware", "reboot"), reboots=1),
    Row("uninstalled-not-rebooted", plan=FRESH, reboots=1),
    Row("half-installed-driver", plan=FRESH, reboots=2),
    Row("half-upgraded-driver", plan=("install driver", "reboot", "upgrade firmware", "reboot"), reboots=2),
    Row("half-firmware", plan=("upgrade firmware", "reboot"), reboots=1),
    Row("failed-build", plan=("clean", *FRESH), reboots=2),
    Row("dkms-leftover", plan=("clean", *FRESH), reboots=2),
    Row("removed-by-hand", plan=("clean", "install driver", "reboot", "install firmware", "reboot"), reboots=2),
    Row("no-module-for-kernel", plan=("upgrade driver", "reboot"), reboots=1),
    Row("newer-driver-and-firmware", refusal="flash_version: the chips' flash allows driver 25.2.0"),
    Row(
        "newer-driver",
        refusal="driver_downgrade: driver 25.2.0 is installed",
        settings=DOWNGRADE,
        plan=("upgrade driver", "reboot"),
        reboots=1,
    ),
    Row(
        "newer-firmware",
        refusal="firmware_downgrade: firmware 7.7.0.6.236 is installed",
        settings=DOWNGRADE,
        plan=("upgrade firmware", "reboot"),
        reboots=1,
    ),
    Row("older-driver-newer-firmware", refusal="firmware_downgrade: firmware 7.7.0.6.236 is installed"),
    Row(
        "newer-driver-older-firmware",
        refusal="driver_downgrade: driver 25.2.0 is installed",
        settings=DOWNGRADE,
        plan=("upgrade firmware", "upgrade driver", "reboot"),
        reboots=1,
    ),
    Row(
        "device-busy",
        refusal="device_in_use: sleep (pid",
        remedy="kill $(pgrep -x sleep)",
        plan=("upgrade firmware", "upgrade driver", "reboot"),
        reboots=1,
    ),
    Row(
        "npu-smi-folder",
        refusal="npu_smi_path: /usr/local/sbin/npu-smi is a folder",
        remedy="rmdir /usr/local/sbin/npu-smi",
        plan=FRESH,
        reboots=2,
    ),
    Row("other-headers", refusal="has the headers of 6.1.0-9-amd64"),
    Row(
        "other-user",
        refusal="foreign_installation: the HDK is installed for ascend:ascend",
        settings=REINSTALL,
        plan=REINSTALLED,
        reboots=2,
    ),
    Row(
        "root-user",
        refusal="foreign_installation: the HDK is installed for root:root",
        settings=REINSTALL,
        plan=REINSTALLED,
        reboots=2,
    ),
    Row(
        "other-path",
        refusal="foreign_installation: the HDK is installed in /opt/Ascend",
        settings=REINSTALL,
        plan=REINSTALLED,
        reboots=2,
    ),
)
ROWS = {row.state: row for row in TABLE}
HOST_OF = {row.state: f"node{index}" for index, row in enumerate(TABLE)}
REFUSED = [row.state for row in TABLE if row.refusal]
CAPTURED = ["same", "failed-build", "one-chip-behind"]
BROUGHT = [row.state for row in TABLE if row.plan is not None]


@dataclass(frozen=True)
class Story:
    """What the four plays said, and how often each server had booted before and after the third."""

    refusals: str
    refused: Mapping[str, Recap]
    plans: str
    converged: Mapping[str, Recap]
    again: Mapping[str, Recap]
    boots_after_refusals: Mapping[str, int]
    boots_before: Mapping[str, int]
    boots_after: Mapping[str, int]
    boards: Mapping[str, str]
    captures: Mapping[str, str]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """All servers brought into their states, and the four plays."""
    with new_site("states", "--hosts", str(len(TABLE)), "--chips", str(CHIPS), "--no-mindspore", "--off") as site:
        yield tell(site, tmp_path_factory.mktemp("states") / "wishes.yml")


def tell(site: Site, wishes: Path) -> Story:
    site.lab("state", *(f"{HOST_OF[row.state]}={row.state}" for row in TABLE))
    at_first = site.boots()
    refusals = site.play(PLAYBOOK, *PATIENT, "--limit", limit(REFUSED))
    boots_after_refusals = {host: count - at_first[host] for host, count in site.boots().items()}
    for row in TABLE:
        if row.remedy:
            site.on(HOST_OF[row.state], "sh", "-c", row.remedy)
    settings = {HOST_OF[row.state]: dict(row.settings) for row in TABLE}
    wishes.write_text(json.dumps({"all": {"hosts": settings}}))
    options = (*PATIENT, "-i", str(wishes), "--limit", limit(BROUGHT))
    plans = site.play(PLAYBOOK, *options, "--check")
    captures = captured(site)
    before = site.boots()
    converged = site.play(PLAYBOOK, *options)
    after = site.boots()
    boards = {state: board(site, HOST_OF[state]) for state in BROUGHT}
    again = site.play(PLAYBOOK, *options)
    return Story(
        refusals=flat(refusals.stdout),
        refused=recap(refusals),
        plans=flat(plans.stdout),
        converged=recap(converged),
        again=recap(again),
        boots_after_refusals=boots_after_refusals,
        boots_before=before,
        boots_after=after,
        boards=boards,
        captures=captures,
    )


def captured(site: Site) -> dict[str, str]:
    """Return the captures of some servers as texts, by the names that they have in the archive."""
    done = site.play("playbooks/capture.yml", "--limit", limit(CAPTURED))
    assert done.returncode == 0, done.stdout
    with tarfile.open(site.inventory / ".captures/captures.tar.gz") as archive:
        return {member.name: archive.extractfile(member).read().decode() for member in archive if member.isfile()}


def limit(states: list[str]) -> str:
    return ",".join(["localhost", *(HOST_OF[state] for state in states)])


def board(site: Site, host: str) -> str:
    """Return what npu-smi says of all chips' boards; nothing when it does not answer."""
    chips = " ".join(str(chip) for chip in range(CHIPS))
    script = f"for chip in {chips}; do npu-smi info -t board -i $chip; done"
    return run(site.lab_argv("shell", host, "--", "sh", "-c", script), log="states-shell").stdout


def flat(text: str) -> str:
    """Undo the callback's line breaks, and its quotes in quotes."""
    return " ".join(text.replace("''", "'").split())


def planned(text: str, host: str) -> tuple[str, ...]:
    """Return the steps shown for a host, without versions and reasons; `?` for those that depend on something."""
    found = re.search(rf"{host}: ascend_hdk: (.*?); about [0-9to ]+ min", text)
    return tuple(step(words) for words in found[1].split("; ")) if found else ()


def step(words: str) -> str:
    head = words.partition(": ")[0]
    name = head.partition(", ")[0]
    verb, *rest = name.split()
    what = rest[0] if rest else ""
    if verb == "install" and what not in ("driver", "firmware"):
        what = "packages"
    kind = f"{verb} {what}" if verb in ("install", "upgrade", "uninstall") else verb
    return kind + ("?" if ", if " in head or ", unless " in head else "")


def test_every_state_that_the_lab_can_make_is_a_row() -> None:
    assert sorted(ROWS) == sorted(STATES)


@pytest.mark.parametrize("state", REFUSED)
def test_it_is_refused_with_the_reason_and_nothing_is_touched(story: Story, state: str) -> None:
    host = HOST_OF[state]
    assert re.search(rf"{host}: [a-z_]+: [^>]*", story.refusals)
    own = story.refusals[story.refusals.index(f"{host}: ") :]
    assert str(ROWS[state].refusal) in own
    assert story.refused[host].changed == 0
    assert story.boots_after_refusals[host] == 0


@pytest.mark.parametrize("state", BROUGHT)
def test_the_plan_is_shown_first(story: Story, state: str) -> None:
    assert planned(story.plans, HOST_OF[state]) == ROWS[state].plan


def test_servers_are_captured_without_telling_whose_they_are(story: Story) -> None:
    assert sorted(story.captures) == [f"node{number}.json" for number in range(len(CAPTURED))]
    for text in story.captures.values():
        files = json.loads(text)["files"]
        assert "[Driver]" in files["/var/log/ascend_seclog/ascend_install.log"]["text"]
        assert [told for told in ("10.77.", *(HOST_OF[state] for state in CAPTURED)) if told in text] == []


@pytest.mark.parametrize("state", BROUGHT)
def test_it_ends_at_the_wish_with_no_more_reboots_than_it_takes(story: Story, state: str) -> None:
    host = HOST_OF[state]
    assert story.converged[host].failed == 0
    assert re.findall(r"Software Version +: (\S+)", story.boards[state]) == [WANTED[0]] * CHIPS
    assert re.findall(r"Firmware Version +: (\S+)", story.boards[state]) == [WANTED[1]] * CHIPS
    assert story.boots_after[host] - story.boots_before[host] == ROWS[state].reboots


@pytest.mark.parametrize("state", BROUGHT)
def test_the_second_run_changes_nothing(story: Story, state: str) -> None:
    host = HOST_OF[state]
    assert (story.again[host].changed, story.again[host].failed) == (0, 0)
