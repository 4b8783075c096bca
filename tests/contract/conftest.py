# SPDX-License-Identifier: Apache-2.0
"""Let tests import the modules' own code as Ansible ships it: below ansible.module_utils."""

from __future__ import annotations

from pathlib import Path

import ansible.module_utils

ansible.module_utils.__path__.append(str(Path(__file__).parents[2] / "plugins" / "module_utils"))
