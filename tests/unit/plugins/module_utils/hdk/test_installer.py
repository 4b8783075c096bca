# SPDX-License-Identifier: Apache-2.0
"""The installers' command lines, and their answers in the words of the vendor's scripts."""

import pytest
from ansible.module_utils.hdk.installer import (
    installer_argv,
    judge,
    judge_uninstall,
    progress,
    refuses_options,
)
from ansible.module_utils.hdk.known_failures import KNOWN_FAILURES, explain
from ansible.module_utils.hdk.tool_packages import PACKAGES

from tests.unit.plugins.module_utils.hdk.installer_texts import ELSEWHERE, PRINTED, TOOLS

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


@pytest.mark.parametrize(
    "warning",
    [
        "Device startup fail",
        "Device startup timeout",
        "Device startup abnormal",
        "There are some chips not ready, please check after reboot",
    ],
)
def test_chips_that_do_not_start_ask_for_a_reboot_whatever_the_return_code(warning):
    done = "[INFO]Driver package installed successfully! The new version takes effect immediately. "
    assert judge(0, f"[Driver] [...] [WARNING]{warning}\n[Driver] [...] {done}\n")[:2] == (True, True)


TRAILER = "[INFO]Failed to install driver package, please retry after uninstall and reboot!"
ALL_IN_ONE = "[ERROR]ERR_NO:0x0094;ERR_DES:Operation failed, An all-in-one RUN package is found, which needs to be"


def as_printed(text):
    """Return an error as the installer prints it: coloured, with the time before and the trailer behind."""
    level, _, words = text.partition("]") if text.startswith("[") else ("", "", text)
    begin = f"{level}]" if level else ""
    return (
        "[Driver] [2025-07-17 10:36:20] [INFO]base version is 24.1.rc3.\n"
        f"[Driver] [2025-07-17 10:36:24] {begin}\x1b[31m{words}\x1b[0m\n"
        f"[Driver] [2025-07-17 10:36:24] {TRAILER}\n"
        "[Driver] [2025-07-17 10:36:24] [INFO]End time: 2025-07-17 10:36:24\n"
    )


@pytest.mark.parametrize(("text", "cause"), PRINTED + ELSEWHERE)
def test_every_error_that_the_scripts_print_has_its_cause_its_own_words_and_a_next_step(text, cause):
    outcome = judge(1, as_printed(text))
    assert not outcome.succeeded
    assert cause in outcome.cause
    assert text in outcome.cause
    assert outcome.next_step
    assert "End time" not in outcome.cause
    assert "please retry" not in outcome.cause


def test_every_row_of_the_table_is_met_by_a_text_of_the_installers():
    met = {explain([text]).cause.partition(" (")[0] for text, _ in PRINTED + ELSEWHERE}
    assert met == {failure.cause.partition(" (")[0] for failure in KNOWN_FAILURES}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_missing_tool_is_named_with_its_package_of_both_families(tool):
    assert PACKAGES[tool].apt
    assert PACKAGES[tool].dnf


def test_missing_tools_name_what_to_install():
    next_step = judge(
        1, as_printed("[ERROR]The list of missing tools: udevadm,rev,update-rc.d,chkconfig,frob,")
    ).next_step
    assert (
        "install bsdextrautils init-system-helpers udev (apt) or chkconfig systemd-udev util-linux (dnf)" in next_step
    )
    assert "find the package of frob" in next_step


def test_the_cause_is_never_the_end_time():
    text = (
        "[Driver] [2026-11-30 20:22:30] [INFO]LogFile: x\n[Driver] [2026-11-30 20:22:31] [ERROR]the moon is full\n"
        "[Driver] [2026-11-30 20:22:33] [INFO]End time: 2026-11-30 20:22:33\n"
    )
    assert judge(1, text).cause == "the installer ended with 1: [ERROR]the moon is full"


def test_an_error_comes_before_a_later_warning():
    text = "[ERROR]Set boot-items failed\n[WARNING]the moon is full\n"
    assert judge(1, text).cause.endswith(": [ERROR]Set boot-items failed")


def test_please_retry_after_uninstall_is_no_advice_to_uninstall():
    text = as_printed("[ERROR]Driver_ko_install_manually failed, details in : /var/log/x.log")
    assert "uninstall" not in judge(1, text).next_step


def test_the_cause_comes_before_the_installer_s_general_advice():
    text = (
        "[ERROR]Dkms install failed, details in : var/log/x.log\n[ERROR]Driver_ko_install failed\n"
        "[INFO]Failed to install driver package, please retry after uninstall and reboot!\n"
    )
    assert "could not be built" in judge(1, text).cause


@pytest.mark.parametrize(
    "text",
    [
        ALL_IN_ONE,
        "[Driver] [x] [INFO]installation Stoped!\n[Driver] [x] [INFO]End time: x",
        "",
    ],
)
@pytest.mark.parametrize("rc", [0, 2])
def test_rc_0_without_a_word_of_success_is_a_failure(rc, text):
    assert not judge(rc, text).succeeded


def test_rc_0_with_an_all_in_one_package_names_what_is_in_the_way():
    assert "/etc/HiAI_install.info" in judge(0, ALL_IN_ONE).cause


def test_modules_that_stay_in_the_kernel_are_an_installation_with_a_reboot():
    text = (
        "[INFO]\x1b[32mDriver package upgraded finished! \x1b[0m\n[WARNING]Kernel modules can not be removed,"
        " reboot needed for installation/upgrade to take effect! \n[INFO]End time: x\n"
    )
    assert judge(2, text)[:2] == (True, True)
    assert judge(0, text)[:2] == (True, True)


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


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("run_driver_uninstall.sh does not existed, uninstall driver failed", "uninstall script is incomplete"),
        (" Uninstallation and recovery failed, so reboot is recommended.", "live patch was removed"),
    ],
)
def test_code_0x0080_of_a_failed_uninstallation_is_not_taken_for_an_absent_driver(text, cause):
    outcome = judge_uninstall(1, f"[Driver] [x] [ERROR]ERR_NO:0x0080;ERR_DES:{text}\n")
    assert not outcome.succeeded
    assert cause in outcome.cause


def test_an_uninstall_script_that_says_a_package_was_installed_uninstalled_nothing():
    assert not judge_uninstall(0, "[INFO]RPM driver package installed successfully!").succeeded


def test_an_uninstallation_that_failed():
    outcome = judge_uninstall(1, "ERR_NO:0x0090;ERR_DES:uninstall driver failed")
    assert not outcome.succeeded
    assert outcome.cause.startswith("the driver could not be uninstalled: ")


def test_a_script_that_does_not_take_its_options():
    assert refuses_options("ERR_NO:0x0004;ERR_DES: Unrecognized parameters: --quiet")
    assert not refuses_options("ERR_NO:0x0090;ERR_DES:uninstall driver failed")


def test_an_unknown_failure_shows_the_installers_last_words():
    outcome = judge(1, "start\n\x1b[31m[ERROR]the moon is full\x1b[0m\n\n")
    assert outcome.cause == "the installer ended with 1: [ERROR]the moon is full"


def test_silence():
    assert judge(1, "").cause == "the installer ended with 1: it named no cause"


@pytest.mark.parametrize("rc", [-9, 137])
def test_a_killed_installer_is_said_to_be_killed(rc):
    assert judge(rc, "").cause == "the installer was killed by SIGKILL: it named no cause"


def test_progress_of_driver_and_firmware():
    assert progress("[INFO]upgradePercentage:10%\n[INFO]upgradePercentage:40%\n") == 40
    assert progress("[INFO]upgradePercentage: 0%\n") == 0
    assert progress("Verifying archive integrity...  100%") is None
