# SPDX-License-Identifier: Apache-2.0
"""Where things lie on a server."""

import os

from . import files

# The chips themselves, seen over the bus: only the server has this, a container does not.
HARDWARE = "/var/lib/hardware"
CHIPS = HARDWARE + "/chips.json"
FAULTS = HARDWARE + "/faults.json"
# Whoever makes this file takes the server's power away.
POWER_CUT = HARDWARE + "/power_cut"

PCI_DEVICES = "/sys/bus/pci/devices"
DEV = "/dev"
# What the kernel holds: gone with the boot.
LOADED = "/run/davinci/driver.json"
BOOT_ID = "/proc/sys/kernel/random/boot_id"

ASCEND = "/usr/local/Ascend"

INSTALL_INFO = "/etc/ascend_install.info"
HCCN_CONF = "/etc/hccn.conf"

SECLOG = "/var/log/ascend_seclog"
INSTALL_LOG = SECLOG + "/ascend_install.log"
OPERATION_LOG = SECLOG + "/operation.log"
MAKESELF_LOG = "/root/log/makeself/makeself.log"
HOTRESET_LOG = "/var/log/hotreset_status.log"
HCCN_LOG = "/var/log/hccn_tool/hccn_config.log"
REBUILD_LOG = SECLOG + "/ascend_rebuild.log"
INSTALL_LOCK = "/run/ascend_install.lock"

DKMS_TREE = "/var/lib/dkms/davinci_ascend"
DKMS_SOURCE = "/usr/src/davinci_ascend-1.0"


def home(component):
    """Return the folder that ``Driver`` or ``Firmware`` is installed below, the default one when it is not."""
    return files.read_pairs(INSTALL_INFO).get(component + "_Install_Path_Param", ASCEND)


def driver():
    """Return the driver's folder."""
    return home("Driver") + "/driver"


def firmware():
    """Return the firmware's folder."""
    return home("Firmware") + "/firmware"


def library():
    """Return the folder of the driver's library."""
    return driver() + "/lib64/driver"


def published():
    """Return the file in which the loaded driver shows the chips to whoever has mounted its folder."""
    return library() + "/device.json"


def kernel_module():
    """Return the path of the driver's module for the kernel that runs."""
    return "/lib/modules/{}/updates/dkms/drv_pcie_host.ko".format(os.uname()[2])


def kernel_headers():
    """Return the folder that a module is built against."""
    return "/lib/modules/{}/build".format(os.uname()[2])
