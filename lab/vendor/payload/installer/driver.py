# SPDX-License-Identifier: Apache-2.0
"""Installing, upgrading and removing the driver."""

import os
import shutil
import signal
import subprocess
import time

from ascend import chips, files, interruption, kernel, paths
from installer import checks, dkms, install_info
from installer.report import Stop

_LOG_FOLDERS = ("/var/log/npu/slog", "/var/log/npu/profiling", "/var/log/npu/dump", "/var/log/npu/conf/slog")
_SMI = ("/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi")
_UNITS = "/etc/systemd/system"
_WANTS = _UNITS + "/multi-user.target.wants"
_ENABLED = ("host_sys_init.service", "ascend_monitor.path")
_RETRY = "[INFO]Failed to install driver package, please retry after uninstall and reboot!"


class Wishes:
    """How the driver is to be installed: options, run user and group, operation (Install or Upgrade), where."""

    def __init__(self, options, user, group, operation, home):
        self.home = home
        self.options = options
        self.user = user
        self.group = group
        self.operation = operation


def install(report, package, root, wishes):
    """Install the driver; returns 0 when it runs at once, 2 when it needs a reboot."""
    files.remove(paths.HOTRESET_LOG)
    with_module = wishes.options.type not in ("docker", "devel")
    if with_module:
        report.say("[INFO]driver install type: DKMS")
    _progress(report, 10)
    pause = (chips.fault_number("slow_install", 5) or 0) / 3
    time.sleep(pause)
    _copy_library(root, wishes)
    _progress(report, 30)
    time.sleep(pause)
    _progress(report, 40)
    _break_down()
    if with_module:
        dkms.build(report, package["version"])
    _copy_tools(root)
    _make_log_folders(root)
    if with_module:
        _install_units(root)
    time.sleep(pause)
    _progress(report, 90)
    running = _start(report) if with_module else True
    if package["newer"] == "yes":
        install_info.complete()
    _progress(report, 100)
    done = "upgraded" if wishes.operation == "Upgrade" else "installed"
    effect = "The new version takes effect immediately. "
    if not running:
        effect = "Reboot needed for installation/upgrade to take effect! "
    report.say("[INFO]Driver package {} successfully! {}".format(done, effect))
    return 0 if running else 2


def uninstall(report, force):
    """Remove the driver; the module stays in the kernel when it cannot be unloaded."""
    files.remove(paths.HOTRESET_LOG)
    busy = checks.occupied()
    if busy and not force:
        raise Stop("[ERROR]" + checks.OCCUPIED)
    if chips.faults().get("uninstall_failure"):
        raise Stop("ERR_NO:0x0090;ERR_DES:uninstall driver failed")
    files.remove(os.path.join(paths.driver(), "version.info"))
    if not os.path.exists(os.path.join(paths.driver(), "script", "run_driver_uninstall.sh")):
        raise Stop("ERR_NO:0x0080;ERR_DES:run_driver_uninstall.sh does not existed, uninstall driver failed")
    interruption.at("uninstall", 0)
    stuck = kernel.loaded() is not None and (busy or bool(chips.faults().get("hot_reset_failure")))
    if not stuck:
        kernel.unload()
    dkms.remove()
    _remove_units()
    interruption.at("uninstall", 50)
    for path in _SMI:
        files.remove(path)
    home = paths.home("Driver")
    shutil.rmtree(paths.driver(), ignore_errors=True)
    if home != paths.ASCEND and os.path.isdir(home) and not os.listdir(home):
        os.rmdir(home)
    install_info.forget("Driver")
    interruption.at("uninstall", 100)
    if not stuck:
        report.say("[INFO]Driver package uninstalled successfully! Uninstallation takes effect immediately.")
    elif busy:
        report.say("[WARNING]Kernel modules can not be removed, reboot needed for uninstallation to take effect")
        report.say("[INFO]Driver package uninstalled finished!")
    else:
        report.say("[INFO]Driver package uninstalled successfully! Reboot needed for uninstallation to take effect!")


def _progress(report, percent):
    report.say("[INFO]upgradePercentage:{}%".format(percent))
    interruption.at("driver", percent)


def _break_down():
    if chips.faults().get("driver_power_cut"):
        chips.heal("driver_power_cut")
        os.kill(os.getpid(), signal.SIGKILL)
    if chips.faults().get("driver_rc1"):
        raise Stop("[ERROR]Driver_ko_install failed", _RETRY)


def _copy_library(root, wishes):
    options = wishes.options
    # An upgrade keeps for whom the driver was installed.
    for_all = True if "install-for-all" in options else None if wishes.operation == "Upgrade" else False
    install_info.record("Driver", wishes.user, wishes.group, options.type, wishes.home, for_all)
    # The folder itself stays: containers have mounted it.
    os.makedirs(paths.driver(), exist_ok=True)
    for name in os.listdir(paths.driver()):
        path = os.path.join(paths.driver(), name)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    for path in _SMI:
        files.remove(path)
    dkms.remove_built()
    shutil.copytree(os.path.join(root, "ascend"), os.path.join(paths.library(), "ascend"))
    shutil.copytree(os.path.join(root, "lib64", "common"), os.path.join(paths.driver(), "lib64", "common"))
    shutil.copy(os.path.join(root, "version.info"), paths.driver())
    script = os.path.join(paths.driver(), "script")
    shutil.copytree(os.path.join(root, "driver", "script"), script)
    shutil.copytree(os.path.join(root, "driver", "kernel"), os.path.join(paths.driver(), "kernel"))
    files.write_text(
        os.path.join(paths.driver(), "kernel", "driver_version.h"),
        '#define DRIVER_VERSION "{}"\n'.format(files.read_pairs(os.path.join(root, "version.info"))["Version"]),
    )
    for name in ("main.py", "package.conf"):
        shutil.copy(os.path.join(root, name), script)
    for name in ("installer", "ascend"):
        shutil.copytree(os.path.join(root, name), os.path.join(script, name))


def _copy_tools(root):
    source = os.path.join(root, "driver")
    for name in os.listdir(os.path.join(source, "tools")):
        _install_program(os.path.join(source, "tools", name), os.path.join(paths.driver(), "tools", name))
    _install_program(os.path.join(source, "host_sys_init.sh"), os.path.join(paths.driver(), "host_sys_init.sh"))
    os.makedirs("/usr/local/bin", exist_ok=True)
    _install_program(os.path.join(source, "sbin", "npu-smi"), _SMI[0])
    os.symlink(_SMI[0], _SMI[1])


def _install_program(source, target, mode=0o755):
    """Copy a text that names the default folder so that it names the one installed below."""
    files.write_text(target, files.read_text(source).replace(paths.ASCEND, paths.home("Driver")), mode)


def _make_log_folders(root):
    for folder in _LOG_FOLDERS:
        os.makedirs(folder, exist_ok=True)
    if not os.path.exists("/var/log/npu/conf/slog/slog.conf"):
        shutil.copy(os.path.join(root, "driver", "slog.conf"), "/var/log/npu/conf/slog")
    if not os.path.exists(paths.HCCN_CONF):
        files.write_text(paths.HCCN_CONF, "")


def _install_units(root):
    os.makedirs(_WANTS, exist_ok=True)
    for name in os.listdir(os.path.join(root, "driver", "systemd")):
        _install_program(os.path.join(root, "driver", "systemd", name), os.path.join(_UNITS, name), 0o644)
    for name in _ENABLED:
        link = os.path.join(_WANTS, name)
        files.remove(link)
        os.symlink(os.path.join(_UNITS, name), link)
    _systemctl("daemon-reload")


def _remove_units():
    _systemctl("stop", "ascend_monitor.path")
    for name in _ENABLED:
        files.remove(os.path.join(_WANTS, name))
    for name in _ENABLED + ("ascend_monitor.service",):
        files.remove(os.path.join(_UNITS, name))
    _systemctl("daemon-reload")


def _systemctl(*words):
    # A server without a running systemd takes the units up at its next boot.
    if os.path.isdir("/run/systemd/system"):
        subprocess.run(["systemctl", "--no-ask-password"] + list(words), check=False, stdin=subprocess.DEVNULL)


def _start(report):
    """Reset the chips and load the new module; False when that has to wait for a reboot."""
    report.say("[INFO]Waiting for device startup...")
    if chips.faults().get("hot_reset_failure") or not _load(report):
        files.write_text(paths.HOTRESET_LOG, "unknown\n")
        report.say("[WARNING]Device startup fail")
        return False
    files.write_text(paths.HOTRESET_LOG, "success\n")
    report.say("[INFO]Device startup success")
    _systemctl("start", "ascend_monitor.path")
    return True


def _load(report):
    try:
        return bool(kernel.load())
    except kernel.LoadError as error:
        report.log("[ERROR]{}".format(error))
        return False
