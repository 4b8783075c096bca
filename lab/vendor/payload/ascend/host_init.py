# SPDX-License-Identifier: Apache-2.0
"""What runs at boot: load the driver, start the chips; and what keeps the published state true."""

import sys
import time

from . import chips, interruption, kernel


def main(arguments):
    """Obey ``start``, ``stop`` or ``publish``; returns the exit code."""
    if arguments == ["publish"]:
        if kernel.loaded() is not None:
            kernel.publish()
        return 0
    if arguments == ["stop"]:
        return 0
    if arguments != ["start"]:
        print("Usage: host_sys_init.sh start|stop|publish", file=sys.stderr)
        return 1
    interruption.at("boot", 0)
    time.sleep(chips.fault_number("late_devices", 60) or 0)
    try:
        present = kernel.load()
    except kernel.LoadError as error:
        print(error, file=sys.stderr)
        return 1
    print("drv_pcie_host: {} chips started".format(len(present)))
    return 0


def run():
    """Be the program host_sys_init."""
    sys.exit(main(sys.argv[1:]))
