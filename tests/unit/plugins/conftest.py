# SPDX-License-Identifier: Apache-2.0
"""Let tests import the plugins the way Ansible ships them: the project's files appear below ansible.module_utils."""

from pathlib import Path

import ansible.module_utils

PLUGINS = Path(__file__).parents[3] / "plugins"

if str(PLUGINS / "module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(PLUGINS / "module_utils"))
