# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import cli, disk_layers, overlay, recondition
from lab.errors import LabError
from lab.layout import find_lab
from lab.states import STATES, listing
from lab.vendor import hardware


def test_every_state_starts_from_another_one_and_ends_at_the_base() -> None:
    for state in STATES.values():
        seen = [state.name]
        while on := STATES[seen[-1]].on:
            assert on not in seen
            seen.append(on)
        assert seen[-1] == "bare"


def test_every_state_is_listed_with_what_it_is() -> None:
    lines = listing().splitlines()
    assert "wanted 24.1.rc3 / 7.5.0.1.129" in lines[0]
    for state in STATES.values():
        assert f"{state.name} " in "\n".join(lines)
        assert state.summary in "\n".join(lines)


def test_an_unknown_state_is_told_with_those_there_are() -> None:
    with pytest.raises(LabError, match=r"'broken'.*half-installed-driver"):
        recondition.find("broken")


def test_a_disk_is_its_own_layer_over_those_it_was_made_from() -> None:
    names = [entry.name for entry in disk_layers.stack("older-firmware")]
    assert names == ["state-older_firmware", "state-older_driver_and_firmware", "state-prepared"]
    assert disk_layers.stack("one-chip-behind") == disk_layers.stack("older-firmware")
    assert disk_layers.stack("bare") == []


def test_no_layers_name_is_the_beginning_of_another_ones() -> None:
    # The cache takes what begins with a name and a dash for a leftover of that name.
    names = {entry.name for name in STATES for entry in disk_layers.stack(name)}
    assert not [(a, b) for a in names for b in names if b.startswith(f"{a}-")]


def test_layers_are_mounted_the_uppermost_first(tmp_path: Path) -> None:
    options = overlay.options(Path("/base"), [Path("/b"), Path("/a")], tmp_path / "upper", tmp_path / "work")
    assert options.startswith("lowerdir=/b/upper:/a/upper:/base/root,")


def test_chips_take_the_firmware_that_a_layer_flashed_as_running(tmp_path: Path) -> None:
    hardware.create(tmp_path / "layer/hardware", 1, firmware="7.5.0.1.129", firmware_release="24.1.rc3")
    hardware.create(tmp_path / "host", 2)
    disk_layers.put_chips(tmp_path / "host", tmp_path / "layer")
    chips = hardware.read(tmp_path / "host")["chips"]
    assert [chip["firmware"]["running"] for chip in chips] == ["7.5.0.1.129"] * 2
    assert len({chip["serial"] for chip in chips}) == 2


@pytest.mark.parametrize(
    ("line", "code"),
    [("code 2 sh -c 'exit 2'", 0), ("code 2 true", 1), ("fails false", 0), ("fails true", 1)],
)
def test_a_script_that_does_not_do_what_it_shall_fails(line: str, code: int) -> None:
    done = subprocess.run(["sh", "-c", f"{disk_layers.commands('/hdk')}\n{line}"], check=False, capture_output=True)
    assert done.returncode == code


def test_hosts_get_one_state_or_each_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    monkeypatch.delenv("LAB_NAME", raising=False)
    (tmp_path / "telechat").mkdir()
    (tmp_path / "telechat/lab.json").write_text('{"hosts": 3, "chips": 2, "mindspore": false, "foundation": {}}')
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(cli.requirements, "check", lambda: None)
    monkeypatch.setattr(
        recondition, "recondition", lambda _lab, wanted, _report: seen.append({h.name: s for h, s in wanted.items()})
    )
    assert cli.main(["state", "node0", "node2", "same"]) == 0
    assert cli.main(["state", "node0=bare", "node1=same"]) == 0
    assert seen == [{"node0": "same", "node2": "same"}, {"node0": "bare", "node1": "same"}]
    assert find_lab("telechat").host(0).name == "node0"


@pytest.mark.parametrize("words", [[], ["node0"], ["node0=bare", "same"]])
def test_what_says_no_state_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli.requirements, "check", lambda: None)
        assert cli.main(["state", *words]) == 1
    assert "HOST... STATE" in capsys.readouterr().err
