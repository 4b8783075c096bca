# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from installer.options import parse
from installer.report import Stop

USER = ["--install-username=u", "--install-usergroup=g"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--full"],
        ["--full", "--install-for-all"],
        ["--full", "--quiet", "--nox11"],
        ["--run", "--install-for-all"],
        ["--devel", "--install-for-all"],
        ["--upgrade", "--install-for-all", "--quiet"],
        ["--full", *USER],
        ["--full", "--install-username=root", "--install-usergroup=root", "--install-for-all"],
        ["--full", "--install-path=/usr/local/Ascend"],
        ["--docker"],
        ["--uninstall"],
        ["--version"],
        ["--check"],
    ],
    ids=" ".join,
)
def test_what_the_driver_accepts(arguments: list[str]) -> None:
    parse("Driver", arguments, newer=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Unrecognized parameters"),
        (["--quiet"], "Unrecognized parameters"),
        (["--fulll"], "ERR_DES: Unrecognized parameters: --fulll"),
        (["full"], "Unrecognized parameters"),
        (["--install-path="], "Unrecognized parameters"),
        (["--full=1"], "Unrecognized parameters"),
        (["--full", "--upgrade"], "can't use with other parameters"),
        (["--full", "--run"], "can't use with other parameters"),
        (["--check", "--quiet"], "check can't use with other parameters"),
        (["--version", "--quiet"], "version can't use with other parameters"),
        (["--uninstall", "--quiet"], "uninstall can't use with other parameters"),
        (["--boot-server-path=/x", "--full"], "can't use with other parameters"),
        (["--docker", "--install-for-all"], "install-for-all"),
        (["--full", "--install-username=u"], "must be used together"),
        (["--full", "--install-usergroup=g"], "must be used together"),
        (["--upgrade", *USER], "can't use with other parameters like upgrade"),
        (["--full", "--install-username=root", "--install-usergroup=root"], "root user can only be used"),
        (["--upgrade", "--install-path=/x"], "install-path can't use with other parameters"),
        (["--full", "--force"], "Unrecognized parameters"),
        (["--debug"], "Unrecognized parameters"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_each_breach_of_a_rule_is_err_0x0004(arguments: list[str], words: str) -> None:
    with pytest.raises(Stop) as caught:
        parse("Driver", arguments, newer=False)
    (line,) = caught.value.lines
    assert line.startswith("ERR_NO:0x0004;ERR_DES:")
    assert words in line
    assert caught.value.code == 1


def test_newer_releases_know_more() -> None:
    assert parse("Driver", ["--debug", "--force", "--norebuild"], newer=True).type == "debug"


def test_newer_releases_take_force_for_an_uninstallation_and_no_install_for_all_for_an_upgrade() -> None:
    assert "force" in parse("Driver", ["--uninstall", "--force"], newer=True)
    with pytest.raises(Stop, match="install-for-all param need used with full/debug/run/devel"):
        parse("Driver", ["--upgrade", "--install-for-all"], newer=True)


def test_the_firmware_knows_no_driver_options() -> None:
    parse("Firmware", ["--full", "--quiet"], newer=True)
    for arguments in (["--full", "--install-for-all"], ["--run"], ["--debug"]):
        with pytest.raises(Stop, match="Unrecognized parameters"):
            parse("Firmware", arguments, newer=True)
