# SPDX-License-Identifier: Apache-2.0
"""The installers' command lines, and their answers in the words of the vendor's scripts."""

import pytest
from ansible.module_utils.hdk.installer import (
    KNOWN_FAILURES,
    installer_argv,
    judge,
    judge_uninstall,
    progress,
    refuses_options,
)

USER = "HwHiAiUser"


@pytest.mark.parametrize(
    ("component", "action", "options"),
    [
        ("driver", "install", ["--full", "--install-for-all", "--quiet"]),
        ("driver", "upgrade", ["--upgrade", "--quiet"]),
        ("firmware", "install", ["--full", "--quiet"]),
        ("firmware", "upgrade", ["--upgrade", "--quiet"]),
    ],
)
def test_options(component, action, options):
    assert installer_argv("/p.run", component, action, USER, USER) == ["/p.run", *options]


def test_another_run_user_is_named_with_its_group_and_only_where_the_installer_takes_it():
    named = ["--install-username=npu", "--install-usergroup=npu"]
    assert [o for o in installer_argv("/p.run", "driver", "install", "npu", "npu") if o in named] == named
    for component, action in [("driver", "upgrade"), ("firmware", "install"), ("firmware", "upgrade")]:
        assert not set(named) & set(installer_argv("/p.run", component, action, "npu", "npu"))


def test_rc_0_takes_effect_at_once():
    text = "[Driver] [...] [INFO]Driver package installed successfully! The new version takes effect immediately. \n"
    assert judge(0, text)[:2] == (True, False)


def test_rc_2_means_installed_and_a_reboot():
    text = (
        "[Driver] [INFO]Driver package installed successfully! Reboot needed for installation/upgrade to take effect! "
    )
    assert judge(2, text)[:2] == (True, True)
    assert judge(0, text)[:2] == (True, True)


@pytest.mark.parametrize("word", ["fail", "timeout"])
def test_chips_that_do_not_start_ask_for_a_reboot_whatever_the_return_code(word):
    assert judge(0, f"[Driver] [...] [WARNING]Device startup {word}\n")[:2] == (True, True)


# The installers' own words, and what an operator reads instead.
FAILURES = {
    "ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists! Please add HwHiAiUser": "run user does not exist",
    "ERR_NO:0x0091;ERR_DES:username not permission for root (except install-for-all scene),"
    " check /etc/ascend_install.info": "installed already, for root",
    "ERR_NO:0x0096;ERR_DES:npu and npu, please check the relatianship of U and G": "not in its group",
    "ERR_NO:0x0095;ERR_DES:user and group are not same with last installation": "belongs to another user",
    "ERR_NO:0x0093;ERR_DES:do not have root permission, operation failed": "needs root",
    "ERR_NO:0x0094;ERR_DES:There is already a process being executed": "another installer runs",
    "ERR_NO:0x0004;ERR_DES: Unrecognized parameters: --fast": "refused its options",
    "ERR_NO:0x0004;ERR_DES:check can't use with other parameters": "refused its options",
    "ERR_NO:0x0080;ERR_DES:Driver package is not installed on this device, uninstall failed": "nothing is installed",
    "ERR_NO:0x0090;ERR_DES:uninstall driver failed": "could not be uninstalled",
    "[ERROR]free space only 100M, cannot install driver package": "too little disk space is left (100M)",
    "[ERROR]The list of missing tools: lspci,ifconfig,": "lacks tools of the installer (lspci,ifconfig)",
    "[ERROR]Dkms install failed, details in : var/log/ascend_seclog/ascend_install.log": "could not be built",
    "[ERROR]Driver_ko_install failed": "could not be built",
    "[ERROR]The davinci nodes are occupied by some processes,"
    " please stop processes and install or uninstall again": "processes use the NPUs",
    "[ERROR]Installation failed, the driver package version=23.0.3"
    " is earlier than the device flash hardware version=24.1.0": "flash allows (23.0.3 is earlier than the device",
    "[ERROR]The driver version 23.0.3 is not allowed in this device.\n"
    "[ERROR]Version check does not match, please use version 24.1.0 or later.": "do not take this version (23.0.3)",
    "[INFO]Failed to install driver package, please retry after uninstall and reboot!": "could not go over",
    "[WARNING]Device startup fail": "did not start after their hot reset (fail)",
    "[WARNING]Device startup timeout": "did not start after their hot reset (timeout)",
}


@pytest.mark.parametrize(("text", "cause"), FAILURES.items())
def test_known_failures_have_a_cause_and_a_next_step(text, cause):
    outcome = judge(1, f"[Driver] [2025-07-17 10:36:24] \x1b[31m{text}\x1b[0m\n")
    assert not outcome.succeeded
    assert cause in outcome.cause
    assert outcome.next_step


def test_every_row_of_the_table_is_met_by_a_text_of_the_installers():
    met = {judge(1, text).next_step for text in FAILURES}
    assert met == {failure.next_step for failure in KNOWN_FAILURES}


def test_the_cause_comes_before_the_installer_s_general_advice():
    text = (
        "[ERROR]Dkms install failed, details in : var/log/x.log\n[ERROR]Driver_ko_install failed\n"
        "[INFO]Failed to install driver package, please retry after uninstall and reboot!\n"
    )
    assert "could not be built" in judge(1, text).cause


UNINSTALLED = {
    "Driver package uninstalled successfully! Uninstallation takes effect immediately.": False,
    "Driver package uninstalled successfully! Reboot needed for uninstallation to take effect!": True,
    "[WARNING]Kernel modules can not be removed, reboot needed for uninstallation to take effect\n"
    "Driver package uninstalled finished!": True,
}


@pytest.mark.parametrize(("text", "reboot"), UNINSTALLED.items())
def test_uninstalled_at_once_or_by_a_reboot(text, reboot):
    assert judge_uninstall(0, text)[:2] == (True, reboot)


def test_what_is_absent_is_uninstalled():
    text = "ERR_NO:0x0080;ERR_DES:Driver package is not installed on this device, uninstall failed"
    assert judge_uninstall(1, f"\x1b[31m{text}\x1b[0m")[:2] == (True, False)


def test_an_uninstallation_that_failed():
    outcome = judge_uninstall(1, "ERR_NO:0x0090;ERR_DES:uninstall driver failed")
    assert (outcome.succeeded, outcome.cause) == (False, "the driver could not be uninstalled")


def test_a_script_that_does_not_take_its_options():
    assert refuses_options("ERR_NO:0x0004;ERR_DES: Unrecognized parameters: --quiet")
    assert not refuses_options("ERR_NO:0x0090;ERR_DES:uninstall driver failed")


def test_an_unknown_failure_shows_the_installers_last_words():
    outcome = judge(1, "start\n\x1b[31m[ERROR]the moon is full\x1b[0m\n\n")
    assert outcome.cause == "the installer ended with 1: [ERROR]the moon is full"


def test_silence():
    assert judge(137, "").cause == "the installer ended with 137: it printed nothing"


def test_progress_of_driver_and_firmware():
    assert progress("[INFO]upgradePercentage:10%\n[INFO]upgradePercentage:40%\n") == 40
    assert progress("[INFO]upgradePercentage: 0%\n") == 0
    assert progress("Verifying archive integrity...  100%") is None
