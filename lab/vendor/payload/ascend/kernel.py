# SPDX-License-Identifier: Apache-2.0
"""The kernel's side of the driver: the module, the device nodes, hot reset, what is shown to containers."""

import grp
import os
import pwd
import re
import stat

from . import chips, files, paths

_MODULE_VERSION = re.compile(rb"(?:^|[\0\n])version=([^\0\n]+)")
MANAGERS = ("davinci_manager", "devmm_svm", "hisi_hdc")


class LoadError(Exception):
    """The module cannot be loaded."""


def loaded():
    """Return what the kernel holds, {"version", "chips"}, or None when no driver is loaded."""
    return chips.read()["loaded"]


def visible_chips():
    """Return the ids of the chips whose device node is here, as in this server or container."""
    found = []
    for name in os.listdir(paths.DEV):
        if name.startswith("davinci") and name[len("davinci") :].isdigit():
            found.append(int(name[len("davinci") :]))
    return sorted(found)


def module_version():
    """Return the version of the module built for the running kernel, as its .modinfo has it; None without one."""
    try:
        with open(paths.kernel_module(), "rb") as stream:
            found = _MODULE_VERSION.search(stream.read())
    except FileNotFoundError:
        return None
    return found.group(1).decode("ascii") if found else None


def load():
    """Load the module built for the running kernel; LoadError says why it does not load."""
    version = module_version()
    if version is None:
        raise LoadError("modprobe: FATAL: Module drv_pcie_host not found in {}".format(paths.kernel_module()))
    if chips.faults().get("driver_load_failure"):
        raise LoadError("modprobe: ERROR: could not insert 'drv_pcie_host': Input/output error")
    if not chips.on_server():
        raise LoadError("drv_pcie_host: no device found")
    chips.start_flashed_firmware()
    present = [chip["id"] for chip in chips.read()["chips"] if chips.on_bus(chip)]
    files.write_json(paths.LOADED, {"version": version, "chips": present})
    _remove_nodes()
    _make_nodes(present)
    publish()
    return present


def unload():
    """Take the module out of the kernel, and its device nodes with it."""
    _remove_nodes()
    files.remove(paths.LOADED)
    publish()


def publish():
    """Show the chips to containers that have mounted the driver's folder."""
    if os.path.isdir(paths.library()):
        files.write_json(paths.published(), chips.read())


def _make_nodes(chip_ids):
    info = files.read_pairs(paths.INSTALL_INFO)
    mode = 0o666 if info.get("Driver_Install_For_All") == "yes" else 0o660
    try:
        owner = pwd.getpwnam(info.get("UserName", "HwHiAiUser")).pw_uid
        group = grp.getgrnam(info.get("UserGroup", "HwHiAiUser")).gr_gid
    except KeyError:
        owner = group = 0
    # The numbers of /dev/null: whoever may open the node can read and write it.
    number = os.makedev(1, 3)
    for name in ["davinci{}".format(chip) for chip in chip_ids] + list(MANAGERS):
        path = os.path.join(paths.DEV, name)
        os.mknod(path, stat.S_IFCHR | mode, number)
        os.chmod(path, mode)
        os.chown(path, owner, group)


def _remove_nodes():
    for name in os.listdir(paths.DEV):
        if name in MANAGERS or (name.startswith("davinci") and name[len("davinci") :].isdigit()):
            os.unlink(os.path.join(paths.DEV, name))
