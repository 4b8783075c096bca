# SPDX-License-Identifier: Apache-2.0
"""The versions of driver and firmware that a host runs, from the look at it."""

from telechat_runtime.upgrade.observe import running_versions


class FilterModule:
    def filters(self):
        return {"running_versions": running_versions}
