# SPDX-License-Identifier: Apache-2.0
"""The installers' command lines, and their answers in the words of the vendor's scripts."""

import pytest
from ansible.module_utils.hdk_installer import installer_argv, judge, progress

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


FAILURES = {
    "ERR_NO:0x0091;ERR_DES:HwHiAiUser not exists! Please add HwHiAiUser": "run user does not exist",
    "ERR_NO:0x0091;ERR_DES:username not permission for root (except install-for-all scene), check": "installed already",
    "ERR_NO:0x0096;ERR_DES:npu and npu, please check the relatianship of U and G": "not in its group",
    "ERR_NO:0x0095;ERR_DES:user and group are not same with last installation": "belongs to another user",
    "ERR_NO:0x0093;ERR_DES:do not have root permission, operation failed": "needs root",
    "ERR_NO:0x0094;ERR_DES:There is already a process being executed": "another installer runs",
    "ERR_NO:0x0004;ERR_DES: Unrecognized parameters: --fast": "refused its options",
    "[ERROR]free space only 100M, cannot install driver package": "too little disk space is left (100M)",
    "[ERROR]The list of missing tools: lspci,ifconfig,": "lacks tools of the installer (lspci,ifconfig)",
    "[ERROR]Dkms install failed, details in : var/log/x.log\n[ERROR]Driver_ko_install failed": "could not be built",
    "[ERROR]The davinci nodes are occupied by some processes, please stop processes": "processes use the NPUs",
    "[ERROR]Installation failed, the driver package version=23.0.3"
    " is earlier than the device flash hardware version=24.1.0": "flash allows (23.0.3 is earlier than the device",
    "[INFO]Failed to install driver package, please retry after uninstall and reboot!": "could not go over",
}


@pytest.mark.parametrize(("text", "cause"), FAILURES.items())
def test_known_failures_have_a_cause_and_a_next_step(text, cause):
    outcome = judge(1, f"[Driver] [2025-07-17 10:36:24] \x1b[31m{text}\x1b[0m\n")
    assert not outcome.succeeded
    assert cause in outcome.cause
    assert outcome.next_step


def test_an_unknown_failure_shows_the_installers_last_words():
    outcome = judge(1, "start\n\x1b[31m[ERROR]the moon is full\x1b[0m\n\n")
    assert outcome.cause == "the installer ended with 1: [ERROR]the moon is full"


def test_silence():
    assert judge(137, "").cause == "the installer ended with 137: it printed nothing"


def test_progress_of_driver_and_firmware():
    assert progress("[INFO]upgradePercentage:10%\n[INFO]upgradePercentage:40%\n") == 40
    assert progress("[INFO]upgradePercentage: 0%\n") == 0
    assert progress("Verifying archive integrity...  100%") is None
