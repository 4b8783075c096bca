# SPDX-License-Identifier: Apache-2.0
"""Entry of install.sh and of the uninstall scripts."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from installer import run  # noqa: E402

sys.exit(run.main(sys.argv[1], sys.argv[2:], os.path.dirname(os.path.abspath(__file__))))
