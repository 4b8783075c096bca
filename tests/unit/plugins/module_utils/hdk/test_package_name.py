# SPDX-License-Identifier: Apache-2.0

import pytest
from ansible.module_utils.hdk.package_name import PackageName, parse_package_name


@pytest.mark.parametrize(
    ("file", "kind", "chip", "version", "architecture"),
    [
        ("Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip", "zip", "910b", "24.1.rc3", "aarch64"),
        ("Ascend-hdk-910b-npu_23.0.3_linux-x86-64.zip", "zip", "910b", "23.0.3", "x86_64"),
        ("Ascend-hdk-910b-npu-driver_23.0.3_linux-x86_64.run", "driver", "910b", "23.0.3", "x86_64"),
        ("Ascend-hdk-910b-npu-driver_24.1.rc3_linux-aarch64.run", "driver", "910b", "24.1.rc3", "aarch64"),
        ("Ascend-hdk-910b-npu-driver_25.0.rc1_sph001_linux.run", "driver", "910b", "25.0.rc1_sph001", None),
        ("Ascend-hdk-910b-npu-firmware_7.5.0.1.129.run", "firmware", "910b", "7.5.0.1.129", None),
        ("Ascend-hdk-910b-firmware_7.5.0.1.129.run", "firmware", "910b", "7.5.0.1.129", None),
        ("Ascend-hdk-310p-npu-driver_25.3.rc1_linux-aarch64.run", "driver", "310p", "25.3.rc1", "aarch64"),
        ("Atlas-A3-hdk-npu-driver_25.2.0_linux-aarch64.run", "driver", "a3", "25.2.0", "aarch64"),
    ],
)
def test_names_that_huawei_gives(file, kind, chip, version, architecture):
    assert parse_package_name(file) == PackageName(file, kind, chip, version, architecture)


@pytest.mark.parametrize(
    "file",
    [
        "Ascend-hdk-910b-mcu_25.50.10.zip",
        "Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip.part",
        "Ascend-hdk-910b-npu_24.1.rc3_linux-riscv64.zip",
        "hdk.lock.yml",
        "Ascend-cann-toolkit_8.0.RC3_linux-aarch64.run",
        "",
    ],
)
def test_other_files(file):
    assert parse_package_name(file) is None
