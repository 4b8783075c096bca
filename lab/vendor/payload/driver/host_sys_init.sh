#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/usr/local/Ascend/driver/lib64/driver")
try:
    from ascend import host_init
except ImportError as error:
    sys.exit("{}: error while loading shared libraries: libascend_hal.so: {}".format(sys.argv[0], error))

host_init.run()
