#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: Apache-2.0
import sys

# Not beside the sources: in the driver's folder stands what was installed, and nothing else.
sys.pycache_prefix = "/run/ascend-bytecode"
sys.path.insert(0, "/usr/local/Ascend/driver/lib64/driver")
try:
    from ascend import host_init
except ImportError as error:
    sys.exit("{}: error while loading shared libraries: libascend_hal.so: {}".format(sys.argv[0], error))

host_init.run()
