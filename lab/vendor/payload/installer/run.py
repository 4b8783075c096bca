# SPDX-License-Identifier: Apache-2.0
"""One run of a package or of an uninstall script, from its options to its exit code."""

import contextlib
import fcntl
import os

from ascend import files, paths
from installer import checks, dkms, driver, firmware, install_info
from installer.options import Options, parse
from installer.report import Report, Stop, now


def main(kind, arguments, root):
    """Carry out ``driver`` or ``firmware``, each also with ``-uninstall``, or ``driver-rebuild``; returns the exit code."""
    component = "Driver" if kind.startswith("driver") else "Firmware"
    package = files.read_pairs(os.path.join(root, "package.conf"))
    run_file = os.path.basename(os.environ.get("MS_BUNDLE", "")) or package["run_file"]
    report = Report(component, run_file, arguments)
    try:
        if kind == "driver-rebuild":
            return _rebuild_script(package, arguments)
        if kind.endswith("-uninstall"):
            return _uninstall_script(report, package, arguments)
        return _package(report, package, arguments, root)
    except Stop as stop:
        _last_words(report, stop)
        if not stop.bare:
            _end(report, kind)
        return stop.code
    except OSError as error:
        report.log("[ERROR]{}".format(error))
        _last_words(report, Stop(*_COPY_FAILED))
        _end(report, kind)
        return 1


def _end(report, kind):
    # The uninstall scripts note it in their log alone.
    words = "[INFO]End time: " + now()
    report.log(words) if kind.endswith("-uninstall") else report.say(words)


_COPY_FAILED = (
    "[ERROR]Drv_file_copy failed, details in : " + paths.INSTALL_LOG,
    "[INFO]Failed to install driver package, please retry after uninstall and reboot!",
)


def _last_words(report, stop):
    for line in stop.lines:
        if line.startswith("[ERROR]"):
            report.error(line[len("[ERROR]") :])
        elif line.startswith("["):
            report.say(line)
        else:
            report.error(line)


def _package(report, package, arguments, root):
    checks.root()
    checks.all_in_one()
    options = parse(report.component, arguments, package["newer"] == "yes")
    if "version" in options:
        report.begin()
        report.base_version(_installed_version(report.component))
        report.say("[INFO]{} version :{}".format(report.component.lower(), package["version"]))
        report.end()
        return 0
    words = "[Makeself] [{}] {} {}".format(report.started, report.run_file, " ".join(arguments))
    files.append_line(paths.MAKESELF_LOG, words)
    if "check" in options:
        report.begin()
        report.base_version(_installed_version(report.component))
        if report.component == "Driver":
            report.say("[INFO]driver and firmware version relationship check success")
        else:
            report.success("{} package preinstall_check success.".format(report.component))
        report.end()
        return 0
    with _alone(package):
        if options.type == "uninstall":
            return _remove(report, package, options)
        return _install(report, package, options, root)


def _install(report, package, options, root):
    report.begin()
    report.base_version(_installed_version(report.component))
    first = not install_info.installed(report.component)
    operation = "Upgrade" if options.type == "upgrade" and not first else "Install"
    try:
        checks.architecture(package)
        user, group = checks.user_and_group(report.component, options)
        checks.tools()
        checks.free_space(report.component)
        if report.component == "Driver":
            code = _install_driver(report, package, options, (user, group, operation, root))
        else:
            code = _install_firmware(report, package, options, (user, group, operation, root))
    except Stop as stop:
        if stop.code:
            report.audit(operation, False, options.type)
        raise
    report.audit(operation, True, options.type)
    report.end()
    return code


def _installed_version(component):
    home = paths.home(component) if install_info.installed(component) else None
    return home and files.read_pairs("{}/{}/version.info".format(home, component.lower())).get("Version")


def _install_driver(report, package, options, context):
    user, group, operation, root = context
    home = checks.install_path("Driver", options)
    checks.flash_version(report, package)
    report.say("[INFO]set username and usergroup, {}:{}".format(user, group))
    quiet = "quiet" in options
    checks.chip_matches(package, quiet)
    if options.type != "upgrade":
        checks.overwrite("Driver", package, quiet)
    if "force" not in options and checks.occupied():
        raise Stop("[ERROR]" + checks.OCCUPIED)
    return driver.install(report, package, root, driver.Wishes(options, user, group, operation, home))


def _install_firmware(report, package, options, context):
    user, group, operation, root = context
    home = checks.install_path("Firmware", options)
    firmware.need_driver()
    if options.type != "upgrade":
        checks.overwrite("Firmware", package, "quiet" in options)
    return firmware.install(report, package, root, firmware.Wishes(options.type, user, group, operation, home))


def _uninstall_script(report, package, arguments):
    if [word for word in arguments if word not in ("--quiet", "--force")]:
        raise Stop("ERR_NO:0x0004;ERR_DES: Unrecognized parameters: {}".format(" ".join(arguments)))
    checks.root()
    with _alone(package):
        return _remove(report, package, Options("uninstall", {word[2:]: True for word in arguments}))


def _rebuild_script(package, arguments):
    report = Report("Driver", package["run_file"], arguments, paths.REBUILD_LOG)
    if [word for word in arguments if word != "--force"]:
        raise Stop("ERR_NO:0x0004;ERR_DES: Unrecognized parameters: {}".format(" ".join(arguments)))
    checks.root()
    with _alone(package):
        return 0 if dkms.rebuild(report, package["version"], "--force" in arguments) else 1


def _remove(report, package, options):
    component = report.component
    if not install_info.installed(component):
        words = "ERR_NO:0x0080;ERR_DES:{} package is not installed on this device, uninstall failed"
        report.audit("Uninstall", False, "uninstall")
        raise Stop(words.format(component))
    try:
        if component == "Driver":
            driver.uninstall(report, "force" in options)
        else:
            firmware.uninstall(report)
    except Stop:
        report.audit("Uninstall", False, "uninstall")
        raise
    report.audit("Uninstall", True, "uninstall")
    return 0


@contextlib.contextmanager
def _alone(package):
    """Let only one package run at a time, where the release knows how: newer drivers look for a name no package has."""
    if package["newer"] == "yes" and "arch" in package:
        yield
        return
    with open(paths.INSTALL_LOCK, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            words = "There is already a process being executed, please do not execute multiple times"
            raise Stop("ERR_NO:0x0094;ERR_DES:" + words) from None
        yield
