# SPDX-License-Identifier: Apache-2.0
"""HDK releases for 910B that the lab can build: which driver goes with which firmware."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """One HDK release: its name is also the driver's version."""

    name: str
    firmware: str
    innerversion: str
    ascendhal: str
    compatible_firmware: str
    compatible_driver: str
    newer: bool  # installers from 24.1 on know --force, refuse occupied chips, note completion
    # Installed drivers of this release refuse an older package by a check of their own, which kills its installer.
    kills_older: bool = False

    def driver_version_info(self) -> str:
        """Return the driver's version.info."""
        return (
            f"Version={self.name}\n"
            f"ascendhal_version={self.ascendhal}\n"
            "aicpu_version=1.0\ntdt_version=1.0\nlog_version=1.0\nprof_version=2.0\ndvppkernels_version=1.1\n"
            "tsfw_version=1.0\n"
            f"Innerversion={self.innerversion}\n"
            "compatible_version=[V100R001C13],[V100R001C15],[V100R001C17],[V100R001C18],[V100R001C19]\n"
            f"compatible_version_fw={self.compatible_firmware}\n"
            f"package_version={self.name}\n"
        )

    def firmware_version_info(self) -> str:
        """Return the firmware's version.info."""
        return (
            f"Version={self.firmware}\nfirmware_version=1.0\npackage_version={self.name}\n"
            f"compatible_version_drv={self.compatible_driver}\n"
        )


RELEASES = {
    release.name: release
    for release in (
        Release(
            name="23.0.3",
            firmware="7.1.0.5.220",
            innerversion="V100R001C15SPC004B220",
            ascendhal="7.15.11",
            compatible_firmware="[7.0.0,7.1.99]",
            compatible_driver="[23.0.rc3,23.0.rc3.],[23.0.0,23.0.0.]",
            newer=False,
        ),
        Release(
            name="23.0.7",
            firmware="7.1.0.11.220",
            innerversion="V100R001C15SPC009B220",
            ascendhal="7.15.11",
            compatible_firmware="[7.0.0,7.1.99]",
            compatible_driver="[23.0.rc3,23.0.rc3.],[23.0.0,23.0.0.]",
            newer=False,
        ),
        Release(
            name="24.1.rc3",
            firmware="7.5.0.1.129",
            innerversion="V100R001C19SPC001B124",
            ascendhal="7.35.23",
            compatible_firmware="[7.0.0,7.5.99]",
            compatible_driver="[23.0.0,23.0.0.],[24.0,24.0.],[24.1,24.1.]",
            newer=True,
        ),
        Release(
            name="25.2.0",
            firmware="7.7.0.6.236",
            innerversion="V100R001C22SPC003B220",
            ascendhal="7.39.12",
            compatible_firmware="[6.4.0,6.4.99],[7.0.0,7.7.99]",
            compatible_driver="[24.0,24.0.],[24.1,24.1.],[25.0,25.0.],[25.2,25.2.]",
            newer=True,
            kills_older=True,
        ),
    )
}

# The guide's own pair and the one of the version matrix.
USUAL = ("23.0.3", "24.1.rc3")
