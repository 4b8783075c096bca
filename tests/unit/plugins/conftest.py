# SPDX-License-Identifier: Apache-2.0
"""Let tests import the plugins the way Ansible ships them: the project's files appear below ansible.module_utils."""

from pathlib import Path

import ansible.module_utils
from hypothesis import settings

PLUGINS = Path(__file__).parents[3] / "plugins"

if str(PLUGINS / "module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(PLUGINS / "module_utils"))

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
