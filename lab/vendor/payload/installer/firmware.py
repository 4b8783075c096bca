# SPDX-License-Identifier: Apache-2.0
"""Flashing and removing the firmware."""

import os
import shutil
import signal
import time

from ascend import chips, files, interruption, kernel, paths
from installer import install_info
from installer.report import Stop

_FAILED = "[ERROR]Firmware package install failed, details in : " + paths.INSTALL_LOG


class Wishes:
    """How the firmware is to be installed: full or upgrade, run user and group, operation, where."""

    def __init__(self, install_type, user, group, operation, home):
        self.home = home
        self.type = install_type
        self.user = user
        self.group = group
        self.operation = operation


def need_driver():
    """The chips are flashed through the driver's upgrade-tool, so a running driver comes first."""
    if not os.path.exists(paths.driver() + "/tools/upgrade-tool"):
        raise Stop("[ERROR]upgrade-tool is not found, please install the driver package first", _FAILED)
    if kernel.loaded() is None or not kernel.visible_chips():
        raise Stop("[ERROR]Get device count failed, please check that the driver is loaded", _FAILED)


def install(report, package, root, wishes):
    """Write the firmware into the flash of every chip; it runs from the next boot on."""
    active = chips.faults()
    _progress(report, 0)
    time.sleep(chips.number_of(active, "slow_install", 5) or 0)
    if active.get("firmware_rc1"):
        raise Stop("[ERROR]The firmware of [0] chips are successfully upgraded.", _FAILED)
    wanted = kernel.visible_chips()
    if active.get("firmware_power_cut"):
        chips.flash(wanted[: len(wanted) // 2], package["version"], package["release"])
        chips.heal("firmware_power_cut")
        os.kill(os.getpid(), signal.SIGKILL)
    skipped = chips.number_of(active, "firmware_chip_skipped", 0)
    flashed = [chip for chip in wanted if chip != skipped]
    half = len(flashed) // 2
    chips.flash(flashed[:half], package["version"], package["release"])
    _progress(report, 50)
    chips.flash(flashed[half:], package["version"], package["release"])
    _progress(report, 90)
    install_info.record("Firmware", wishes.user, wishes.group, wishes.type, wishes.home)
    _copy(root)
    kernel.publish()
    _progress(report, 100)
    report.say("[INFO]The firmware of [{}] chips are successfully upgraded.".format(len(flashed)))
    done = "upgraded" if wishes.operation == "Upgrade" else "installed"
    effect = "Reboot now or after driver installation for the installation/upgrade to take effect."
    report.say("[INFO]Firmware package {} successfully! {}".format(done, effect))
    return 2 if active.get("firmware_rc2") else 0


def _progress(report, percent):
    report.say("[INFO]upgradePercentage: {}%".format(percent))
    interruption.at("firmware", percent)


def uninstall(report):
    """Remove the firmware's files; the chips keep what is in their flash."""
    home = paths.home("Firmware")
    shutil.rmtree(paths.firmware())
    if home != paths.ASCEND and not os.listdir(home):
        os.rmdir(home)
    install_info.forget("Firmware")
    report.say("[INFO]Firmware package uninstalled successfully! Uninstallation takes effect immediately.")


def _copy(root):
    script = os.path.join(paths.firmware(), "script")
    shutil.rmtree(paths.firmware(), ignore_errors=True)
    shutil.copytree(os.path.join(root, "firmware", "script"), script)
    for name in ("main.py", "package.conf"):
        shutil.copy(os.path.join(root, name), script)
    for name in ("installer", "ascend"):
        shutil.copytree(os.path.join(root, name), os.path.join(script, name))
    # Last: who finds it finds the rest.
    files.write_text(os.path.join(paths.firmware(), "version.info"), files.read_text(os.path.join(root, "version.info")))
