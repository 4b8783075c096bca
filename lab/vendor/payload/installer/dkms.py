# SPDX-License-Identifier: Apache-2.0
"""Building the kernel module by DKMS.

A module for the running kernel is made when dkms, gcc, make and the kernel's headers are there; nothing is compiled for
it, since that is what takes long. dkms itself compiles the same source for another kernel when it is told to. A build that failed leaves its tree,
and the next build stumbles over it until it is removed.
"""

import os
import shutil

from ascend import chips, files, paths
from installer import checks
from installer.report import Stop

_FAILED = (
    "[ERROR]Dkms install failed, details in : " + paths.INSTALL_LOG[1:],
    "[ERROR]Driver_ko_install failed",
    "[INFO]Failed to install driver package, please retry after uninstall and reboot!",
)


def build(report, version):
    """Build and install the module for the running kernel; Stop when it does not build."""
    release, machine = os.uname()[2], os.uname()[4]
    reason = _obstacle(release)
    _add()
    os.makedirs(os.path.join(paths.DKMS_TREE, "1.0", "build"), exist_ok=True)
    if reason:
        report.log("[ERROR]" + reason)
        raise Stop(*_FAILED)
    module = "version={}\nvermagic={} SMP mod_unload\n".format(version, release)
    files.write_text(os.path.join(paths.DKMS_TREE, "1.0", release, machine, "module", "drv_pcie_host.ko"), module)
    shutil.rmtree(os.path.join(paths.DKMS_TREE, "1.0", "build"))
    files.write_text(paths.kernel_module(), module)


def _add():
    # As `dkms add` leaves it: dkms itself walks over this tree when kernels or headers come and go, and can build
    # from it for another kernel.
    shutil.rmtree(paths.DKMS_SOURCE, ignore_errors=True)
    shutil.copytree(os.path.join(paths.driver(), "kernel"), paths.DKMS_SOURCE)
    os.makedirs(os.path.join(paths.DKMS_TREE, "1.0"), exist_ok=True)
    source = os.path.join(paths.DKMS_TREE, "1.0", "source")
    files.remove(source)
    os.symlink(paths.DKMS_SOURCE, source)


def remove():
    """Take the module, its source and its tree away."""
    files.remove(paths.kernel_module())
    for folder in (paths.DKMS_TREE, paths.DKMS_SOURCE):
        shutil.rmtree(folder, ignore_errors=True)


def remove_built():
    """Take away what an earlier installation built; the tree of a failed build stays."""
    if not _half_built():
        remove()
    files.remove(paths.kernel_module())


def rebuild(report, version, force):
    """Build the module for the running kernel again, as run_driver_ko_rebuild.sh does; False when it does not build."""
    if os.path.exists(paths.kernel_module()) and not force:
        report.say("[INFO]the driver ko of kernel {} exists, no need to rebuild".format(os.uname()[2]))
        return True
    try:
        build(report, version)
    except Stop:
        report.say("[WARNING]rebuild ko has something wrong, detail in {}".format(paths.REBUILD_LOG))
        return False
    host = os.path.join(paths.driver(), "host")
    os.makedirs(host, exist_ok=True)
    shutil.copy(paths.kernel_module(), host)
    report.say("[INFO]rebuild driver ko success, reboot needed for it to take effect")
    return True


def _half_built():
    return os.path.isdir(os.path.join(paths.DKMS_TREE, "1.0", "build"))


def _obstacle(release):
    missing = checks.absent(("dkms", "gcc", "make"))
    if missing:
        return "{}: command not found".format(missing[0])
    if not os.path.exists(paths.kernel_headers()):
        words = "Error! Your kernel headers for kernel {} cannot be found at {}."
        return words.format(release, paths.kernel_headers())
    if _half_built():
        return "Error! DKMS tree already contains: davinci_ascend-1.0 ({})".format(paths.DKMS_TREE)
    if chips.faults().get("dkms_failure"):
        return "Error! Bad return status for module build on kernel: {} ({})".format(release, os.uname()[4])
    return None
