# SPDX-License-Identifier: Apache-2.0
"""What must hold before a package changes anything."""

import grp
import os
import pwd
import shutil
import signal
import subprocess
import time

from ascend import chips, files, holders, kernel, paths, version
from installer import install_info
from installer.report import Stop

DEFAULT_USER = "HwHiAiUser"
NEEDED_MB = {"Driver": 300, "Firmware": 32}
_GOES = 3
OCCUPIED = "The davinci nodes are occupied by some processes, please stop processes and install or uninstall again"


def root():
    """Only root may go on."""
    if os.geteuid() != 0:
        words = "do not have root permission, operation failed, please use root permission!"
        raise Stop("ERR_NO:0x0093;ERR_DES:" + words, bare=True)


def all_in_one():
    """A package of another kind must go first; the vendor's script ends with 0 all the same."""
    if os.path.exists("/etc/HiAI_install.info"):
        words = "Operation failed, An all-in-one RUN package is found, which needs to be uninstalled before proceeding."
        raise Stop("ERR_NO:0x0094;ERR_DES:" + words, code=0, bare=True)


def user_and_group(component, options):
    """Return the run user and its group, from the options, the last installation or the default."""
    recorded = install_info.read()
    last = (recorded.get("UserName"), recorded.get("UserGroup"))
    if "install-username" in options:
        user, group = options.value("install-username"), options.value("install-usergroup")
    elif last[0] and last[1]:
        user, group = last
    else:
        user, group = DEFAULT_USER, DEFAULT_USER
    for_all = "install-for-all" in options or options.type == "upgrade"
    if component == "Driver" and user == "root" and not for_all:
        raise Stop(
            "ERR_NO:0x0091;ERR_DES:username not permission for root (except install-for-all scene), "
            "check /etc/ascend_install.info"
        )
    _exist(user, group)
    if "install-username" in options and last[0] and (user, group) != last:
        words = "The user and group are not same with last installation,do not support overwriting installation"
        raise Stop("ERR_NO:0x0095;ERR_DES:" + words)
    return user, group


def _exist(user, group):
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise Stop("ERR_NO:0x0091;ERR_DES:{0} not exists! Please add {0}".format(user)) from None
    try:
        wanted = grp.getgrnam(group)
    except KeyError:
        raise Stop("ERR_NO:0x0091;ERR_DES:{0} group not exists! Please add {0} group".format(group)) from None
    if entry.pw_gid != wanted.gr_gid and user not in wanted.gr_mem:
        words = "{0} not right! Please check the relatianship of {1} and {0}".format(group, user)
        raise Stop("ERR_NO:0x0096;ERR_DES:" + words)


def architecture(package):
    """A driver is built for one architecture."""
    machine = os.uname()[4]
    if package.get("arch", machine) != machine:
        words = "Arch mismatch, src package is {}, cur os is {} "
        raise Stop("[ERROR]" + words.format(package["arch"], machine))


def absent(names):
    """Return those of the tools that are not there; root's own folders count even when PATH lacks them."""
    return [name for name in names if shutil.which(name, path=_search_path()) is None]


def _search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def tools():
    """The installer calls these."""
    missing = absent(("lspci", "ifconfig"))
    if missing:
        raise Stop("[ERROR]The list of missing tools: {},".format(",".join(missing)))


def free_space(component):
    """A package is unpacked under /usr/local."""
    free = chips.fault_number("no_space", 100)
    if free is None:
        numbers = os.statvfs("/usr/local")
        free = numbers.f_bavail * numbers.f_frsize // (1024 * 1024)
    if free < NEEDED_MB[component]:
        words = (
            "free space only {}M, cannot install {} package (greater than {}M), "
            "please make sure enough space under the installation path"
        )
        raise Stop("[ERROR]" + words.format(free, component.lower(), NEEDED_MB[component]))


def chip_matches(package, quiet):
    """Ask when no chip of the kind that the package is for is on the bus; quiet means yes."""
    result = subprocess.run(
        ["lspci", "-n", "-D", "-d", "19e5:" + package["pci_device"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, PATH=_search_path()),
        check=False,
    )
    if not result.stdout.strip() and not quiet:
        ask("The package does not match any chip of this device, do you want to continue?  [y/n] ")


def overwrite(component, package, quiet):
    """Ask before an installed version is overwritten; quiet means yes."""
    home = paths.home(component)
    old = files.read_pairs("{}/{}/version.info".format(home, component.lower())).get("Version")
    if old and not quiet:
        ask(
            "{} package has been installed on the path {}, the version is {}, and the version of this package is {},"
            "do you want to continue?  [y/n] ".format(component, home, old, package["version"])
        )


def ask(question):
    """Wait for y or n on stdin; its end is no answer: the vendor's script goes on waiting, and so does this."""
    print(question, flush=True)
    while True:
        try:
            answer = input()
        except EOFError:
            while True:
                time.sleep(3600)
        if answer == "y":
            return
        if answer == "n":
            raise Stop("[INFO]installation Stoped!", code=0)
        print("[WARNING]Input error, please input y or n to choose!", flush=True)


def flash_version(report, package):
    """A driver older than what is in the chips' flash is refused, where the installed driver's upgrade-tool tells it."""
    if not install_info.installed("Driver") or kernel.loaded() is None or not chips.on_server():
        return
    document = chips.read()
    newest = max((chips.flash_base(document, chip) for chip in document["chips"]), key=version.key)
    if version.base_number(package["release"]) < version.base_number(newest):
        script = os.path.join(paths.driver(), "script", "package.conf")
        if files.read_pairs(script).get("kills_older") == "yes":
            _kill(report, package, newest)
        words = (
            "Installation failed, the driver package version={} is earlier than the device flash hardware version={}"
        )
        raise Stop("[ERROR]" + words.format(version.base_number(package["release"]), version.base_number(newest)))


def _kill(report, package, newest):
    """Do as the installed driver's own check does: two lines, then SIGKILL for the installer and the .run."""
    report.log("[ERROR] The driver version {} is not allowed in this device.".format(package["version"]))
    report.say("[ERROR] Version check does not match, please use version {} or later.".format(newest))
    report.say("[ERROR] Driver upgrade failed, details in {}".format(paths.INSTALL_LOG))
    report.audit("Upgrade", False, "full")
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def install_path(component, options):
    """Return the folder to install below; another one than the last time is refused."""
    wanted = options.value("install-path")
    if wanted is None:
        return paths.home(component)
    wanted = wanted.rstrip("/")
    if not wanted.startswith("/"):
        raise Stop("ERR_NO:0x0004;ERR_DES: install-path {} is not an absolute path".format(wanted))
    if install_info.installed(component) and wanted != paths.home(component):
        words = "ERR_NO:0x0095;ERR_DES:install path {} is not same with last installation {}"
        raise Stop(words.format(wanted, paths.home(component)))
    return wanted


def occupied():
    """Tell whether a loaded driver is in use: by a container, as docker describes it, or by an open device node."""
    if kernel.loaded() is None:
        return False
    return _named_by_a_container() or _held()


def _named_by_a_container():
    """Look for the device in the text that docker gives of running containers, be it in a label; others don't count.

    Like the vendor's script, only where the installed driver has the tool that is asked whether chips are up.
    """
    if not os.path.isfile(os.path.join(paths.driver(), "tools", "upgrade-tool")) or absent(["docker"]):
        return False
    running = _docker("ps", "-q").split()
    return bool(running) and "/dev/davinci_manager" in _docker("inspect", *running)


def _docker(*words):
    done = subprocess.run(
        ("docker",) + words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, PATH=_search_path()),
        check=False,
    )
    return done.stdout.decode("utf-8", "replace")


def _held():
    """Tell whether the chips cannot be flagged for a reset in any of three goes, a second apart."""
    for go in range(_GOES):
        if go:
            time.sleep(1)
        if not chips.faults().get("device_busy") and not holders.holders():
            return False
    return True
