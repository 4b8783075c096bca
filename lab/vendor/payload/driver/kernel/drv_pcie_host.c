// SPDX-License-Identifier: Apache-2.0
// What the driver's module is built from; its version is that of the package.
#include <linux/init.h>
#include <linux/module.h>

#include "driver_version.h"

static int __init drv_pcie_host_init(void) { return 0; }
static void __exit drv_pcie_host_exit(void) {}

module_init(drv_pcie_host_init);
module_exit(drv_pcie_host_exit);
MODULE_LICENSE("GPL");
MODULE_VERSION(DRIVER_VERSION);
