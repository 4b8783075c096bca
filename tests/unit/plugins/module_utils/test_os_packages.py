# SPDX-License-Identifier: Apache-2.0

import pytest
from ansible.module_utils.os_packages import (
    for_kernel,
    installable,
    missing_packages,
    not_installable,
    operating_system,
)

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\n', ("debian", "12", "Debian")),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n', ("ubuntu", "22.04", "Debian")),
        ('ID="openEuler"\nVERSION_ID="22.03"\n', ("openeuler", "22.03", "RedHat")),
        ('ID="kylin"\nVERSION_ID="V10"\n', ("kylin", "V10", "RedHat")),
        ('ID=kylin\nID_LIKE=debian\nVERSION_ID="v10"\n', ("kylin", "v10", "Debian")),
        ('NAME="EulerOS"\nVERSION="2.0 (SP10)"\nID="euleros"\nVERSION_ID="2.0"\n', ("euleros", "2.0", "RedHat")),
        ('ID="bclinux"\nID_LIKE="rhel fedora centos anolis"\nVERSION_ID="8.8"\n', ("bclinux", "8.8", "RedHat")),
        ('ID="bclinux"\nVERSION_ID="21.10"\n', ("bclinux", "21.10", "RedHat")),
        ('ID="anolis"\nVERSION_ID="23"\n', ("anolis", "23", "RedHat")),
        ('ID="ctyunos"\nVERSION_ID="2.0.1"\n', ("ctyunos", "2.0.1", "RedHat")),
        ('ID=mystery\nID_LIKE="rhel fedora"\n', ("mystery", "unknown", "RedHat")),
        ("ID=arch\n", ("arch", "unknown", None)),
    ],
)
def test_operating_systems(host, text, expected):
    host.write("etc/os-release", text)
    system = operating_system(host.root)
    assert (system.id, system.version, system.family) == expected


def test_the_package_manager_tells_which_edition_of_uos_runs(host):
    host.write("etc/os-release", 'ID=uos\nVERSION_ID="20"\n')
    assert operating_system(host.root).family == "RedHat"
    host.write("usr/bin/dpkg", "")
    assert operating_system(host.root).family == "Debian"


def test_no_os_release(host):
    assert operating_system(host.root).id == "unknown"


def test_missing_packages_of_debian(host):
    host.answer(
        "dpkg-query -W -f ${Package} ${db:Status-Status}\n gcc make dkms",
        "gcc installed\nmake config-files\n",
        rc=1,
        stderr="dpkg-query: no packages found matching dkms\n",
    )
    assert missing_packages(host.run, "Debian", ["gcc", "make", "dkms"]) == ["make", "dkms"]


def test_missing_packages_of_openeuler(host):
    host.answer("rpm -q gcc dkms tar", "gcc-10.3.1-20.oe2203.aarch64\npackage dkms is not installed\ntar-1.34\n", rc=1)
    assert missing_packages(host.run, "RedHat", ["gcc", "dkms", "tar"]) == ["dkms"]


def test_nothing_is_asked_for_no_packages_or_an_unknown_family(host):
    assert missing_packages(host.run, "Debian", []) == []
    assert missing_packages(host.run, None, ["gcc"]) == []
    assert host.asked == []


def test_the_kernel_in_names():
    assert for_kernel(["gcc", "linux-headers-{kernel}"], "6.1.0-18-arm64") == ["gcc", "linux-headers-6.1.0-18-arm64"]


QUERY = "dnf --quiet --cacheonly repoquery --queryformat %{name} %{name}-%{version}-%{release}.%{arch}"
REPOMD = "var/cache/dnf/OS-2d95c80a1fa0a67d/repodata/repomd.xml"


@pytest.mark.parametrize(
    ("rc", "stdout", "expected"),
    [(0, "kernel-devel kernel-devel-5.10.0-60.aarch64\n", True), (0, "", False), (1, "", None)],
)
def test_installable_from_dnfs_cache(host, rc, stdout, expected):
    host.write(REPOMD, "")
    host.answer(f"{QUERY} kernel-devel-5.10.0-60.aarch64", stdout, rc=rc)
    assert installable(host.run, "RedHat", "kernel-devel-5.10.0-60.aarch64", host.root) is expected


def test_headers_of_a_newer_kernel_in_the_update_repository_are_not_those_of_the_running_one(host):
    host.write(REPOMD, "")
    names = ["gcc", "kernel-headers-5.10.0-60.aarch64", "dkms", "chkconfig"]
    offered = "gcc gcc-10.3.1-20.aarch64\nkernel-headers kernel-headers-5.10.0-216.aarch64\n"
    host.answer(f"{QUERY} {' '.join(names)}", offered)
    host.answer("dnf --quiet --cacheonly repoquery --whatprovides chkconfig", "initscripts-0:10.17-1.aarch64\n")
    assert not_installable(host.run, "RedHat", names, host.root) == ["kernel-headers-5.10.0-60.aarch64", "dkms"]


def test_what_apt_knows_no_version_of(host):
    host.write("var/lib/apt/lists/deb.example_dists_stable_main_Packages", "")
    policy = "dkms:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n"
    policy += "gcc:\n  Installed: (none)\n  Candidate: 4:12.2.0-3\n  Version table:\n     4:12.2.0-3 500\n"
    host.answer("apt-cache policy dkms gcc nonesuch", policy)
    assert not_installable(host.run, "Debian", ["dkms", "gcc", "nonesuch"], host.root) == ["dkms", "nonesuch"]


def test_before_lists_were_fetched_nobody_knows(host):
    assert installable(host.run, "RedHat", "kernel-devel-5.10.0", host.root) is None
    assert not_installable(host.run, "Debian", ["gcc"], host.root) is None
    assert not_installable(host.run, None, ["gcc"], host.root) is None
    assert host.asked == []
