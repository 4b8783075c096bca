# SPDX-License-Identifier: Apache-2.0
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.ascend.kernels import has_headers, installed_kernels, kernel_key, module_file
from tests.support.host_root import HostRoot

OLD, NEW = "5.10.0-60.18.0.50.oe2203.aarch64", "5.10.0-216.0.0.115.oe2203.aarch64"


@pytest.fixture
def host(tmp_path):
    return HostRoot(tmp_path)


def test_images_that_are_no_kernels_of_their_own_do_not_count(host):
    for name in (OLD, NEW, "0-rescue", "0-rescue-3f9d", f"{OLD}.old", f".{NEW}.hmac"):
        host.write(f"boot/vmlinuz-{name}", "")
    assert installed_kernels(host.root) == [OLD, NEW]


@pytest.mark.parametrize(
    "path",
    ["updates/dkms/drv_pcie_host.ko", "updates/drv_pcie_host.ko.zst", "extra/ascend/drv_pcie_host.ko.gz"],
)
def test_modules_are_found_where_installers_put_them(host, path):
    host.write(f"lib/modules/{NEW}/{path}", "")
    assert module_file(NEW, host.root).endswith(path)


@pytest.mark.parametrize("path", ["updates/drv_pcie_hdc_host.ko", "updates/drv_pcie_host.ko.bak", "drv_pcie_host.ko"])
def test_other_files_are_no_module(host, path):
    host.write(f"lib/modules/{NEW}/{path}", "")
    assert module_file(NEW, host.root) is None


def test_a_weak_update_counts_as_long_as_its_target_is_there(host):
    name = f"lib/modules/{OLD}/extra/drv_pcie_host.ko"
    module = host.write(name, "")
    host.link(f"lib/modules/{NEW}/weak-updates/drv_pcie_host.ko", f"/{name}")
    assert module_file(NEW, host.root)
    module.unlink()
    assert module_file(NEW, host.root) is None


def test_headers_whose_link_leads_nowhere_are_none(host):
    host.link(f"lib/modules/{NEW}/build", f"/usr/src/linux-headers-{NEW}")
    assert not has_headers(NEW, host.root)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("6.1.0-9-amd64", "6.1.0-18-amd64"),
        ("5.10.0-60.18.0.50.oe2203.aarch64", "5.10.0-216.0.0.115.oe2203sp4.aarch64"),
        ("4.19.90-24.4.v2101.ky10.aarch64", "4.19.90-52.22.v2207.ky10.aarch64"),
        ("6.8.0-rc1", "6.8.0"),
        ("6.8.0-rc2", "6.8.0-31-generic"),
        ("6.8.0-31-generic", "6.8.0-139-generic"),
        ("5.10.0-60.18.0.oe2203", "5.10.0-60.18.0.50.oe2203"),
        ("6.1.0", "6.1.0-18-amd64"),
    ],
)
def test_what_is_newer(older, newer):
    assert kernel_key(older) < kernel_key(newer)


numbers = st.integers(min_value=0, max_value=400)
RELEASES = st.one_of(
    st.builds("{}.{}.0-{}-{}".format, numbers, numbers, numbers, st.sampled_from(["amd64", "arm64", "generic"])),
    st.builds("5.10.0-{}.{}.0.{}.oe2203.aarch64".format, numbers, numbers, numbers),
    st.builds("4.19.90-{}.{}.v2207.ky10.aarch64".format, numbers, numbers),
)


@given(st.lists(RELEASES, min_size=2, max_size=12, unique=True))
def test_kernels_of_servers_are_sorted_as_grub_mkconfig_sorts_them(releases):
    # grub-mkconfig lists kernels by `sort -V`.
    listed = subprocess.run(
        ["sort", "-V"], input="\n".join(releases), capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    )
    assert sorted(releases, key=kernel_key) == listed.stdout.split()


@given(st.lists(st.text(alphabet="019.-~abrc", min_size=1, max_size=12), max_size=6))
def test_any_names_can_be_sorted(names):
    keys = sorted(map(kernel_key, names))
    assert keys == sorted(map(kernel_key, reversed(names)))
    assert all(left <= right for left, right in zip(keys, keys[1:]))
