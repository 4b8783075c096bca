# SPDX-License-Identifier: Apache-2.0
"""The real playbooks in check mode against servers of the openEuler family, as rpm, dnf and grubby answer there.

ssh is a program of the test's that runs each command on this machine in namespaces of its own: /etc/os-release, /boot,
the kernels' folders, the processes and the PCI bus are the server's, and rpm, dnf and grubby print what was written
down. The roles and their modules are the project's own.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.playbooks.test_preflight import Site

NEXT = "5.10.0-216.0.0.115.oe2203sp4.aarch64"
OS_RELEASE = {
    "openEuler 22.03": 'NAME="openEuler"\nVERSION="22.03 (LTS-SP4)"\nID="openEuler"\nVERSION_ID="22.03"\n',
    "openEuler 24.03": 'NAME="openEuler"\nVERSION="24.03 (LTS-SP1)"\nID="openEuler"\nVERSION_ID="24.03"\n',
    "Kylin V10": 'NAME="Kylin Linux Advanced Server"\nVERSION="V10 (Lance)"\nID="kylin"\nVERSION_ID="V10"\n',
}
SSH = """\
#!/bin/sh
# Options first, the host, and last the command.
for command; do :; done
case " $* " in *" -O "*) exit 0 ;; esac
exec setsid --wait unshare --mount --propagation private --pid --fork --mount-proc sh -ec '
  cd "{folder}"
  for name in $(cat mounts); do mount --bind "root/$name" "/$name"; done
  PATH="{folder}/bin:$PATH"
  export PATH
  exec sh -c "$0"
' "$command"
"""


def may_unshare():
    probe = ["setsid", "--wait", "unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    return os.geteuid() == 0 and subprocess.run(probe, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_unshare(), reason="needs root, to give the server files of its own")


class Server:
    """A server of the openEuler family, on which no package of the roles is installed."""

    def __init__(self, folder, system):
        self.folder = folder
        self.mounts = []
        self.running = platform.release()
        self.mount_file("etc/os-release", OS_RELEASE[system])
        for release in (self.running, NEXT):
            self.write(f"boot/vmlinuz-{release}", "")
            self.write(f"lib/modules/{release}/modules.order", "")
        for name in ("boot", "lib/modules"):
            self.mount_folder(name)
        for number in range(8):
            device = f"sys/bus/pci/devices/0000:{number:02x}:00.0"
            self.write(f"{device}/vendor", "0x19e5\n")
            self.write(f"{device}/device", "0xd802\n")
        self.mount_folder("sys/bus")
        self.write("usr/libexec/python3/site-packages/dnf/__init__.py", "")
        self.mount_folder("usr/libexec")
        self.write("var/cache/dnf/OS-2d95c80a1fa0a67d/repodata/repomd.xml", "")
        self.mount_folder("var/cache")
        self.program("rpm", 'shift; for name; do echo "package $name is not installed"; done; exit 1')
        self.repositories_lack("nothing")
        self.program("grubby", f"echo /boot/vmlinuz-{self.running}")
        self.program("dpkg-query", "exit 99")

    def write(self, path, text):
        target = self.folder / "root" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def mount_folder(self, path):
        if Path("/", path).is_dir():
            self.mounts.append(path)

    def mount_file(self, path, text):
        self.write(path, text)
        self.mounts.append(path)

    def program(self, name, script):
        target = self.folder / "bin" / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(f"#!/bin/sh\n{script}\n")
        target.chmod(0o755)

    def repositories_lack(self, pattern):
        """Let dnf know every package by the name that it is asked for, but for those of a shell's pattern."""
        names = f'for name; do case "$name" in -*|%*|{pattern}) ;; *) echo "$name" ;; esac; done'
        self.program("dnf", f'case " $* " in *" --whatprovides "*) exit 0 ;; esac\n{names}')

    def ssh(self):
        (self.folder / "mounts").write_text("\n".join(self.mounts))
        program = self.folder / "ssh"
        program.write_text(SSH.format(folder=self.folder))
        program.chmod(0o755)
        return str(program)


@pytest.fixture
def server(tmp_path, request):
    (tmp_path / "server").mkdir()
    return Server(tmp_path / "server", getattr(request, "param", "openEuler 22.03"))


@pytest.fixture
def plan(tmp_path, server):
    """Return what a playbook in check mode says of the server."""

    site = Site(tmp_path)

    def play(playbook="playbooks/hdk.yml", **variables):
        site.hosts = {
            "node0": {
                "ascend_node_rank": 0,
                "ascend_npu_count": 8,
                "ansible_host": "192.0.2.7",
                "ansible_ssh_executable": server.ssh(),
                "ansible_python_interpreter": shutil.which("python3", path="/usr/bin") or sys.executable,
            }
        }
        site.variables.update(ascend_hdk_release="24.1.rc3", **variables)
        return site.play(playbook, "--check")

    return play


@pytest.mark.parametrize("server", OS_RELEASE, indirect=True)
def test_the_plan_takes_the_packages_of_the_family(plan, server):
    outcome = plan()
    assert outcome.rc == 0, outcome.text
    packages = (
        f"make, dkms, gcc, kernel-headers-{server.running}, kernel-devel-{server.running}, net-tools, pciutils, tar"
    )
    assert f"node0: ascend_hdk: install {packages}, which, chkconfig, " in outcome.text


def test_a_medium_without_dkms_is_a_caution(plan, server):
    server.repositories_lack("dkms")
    outcome = plan()
    assert outcome.rc == 0, outcome.text
    assert "caution: node0: os_packages: no repository of this host has dkms" in outcome.text
    assert "install make, gcc, " in outcome.text


def test_update_repositories_without_the_running_kernels_headers_are_refused_with_both_remedies(plan, server):
    server.repositories_lack("kernel-headers-*")
    outcome = plan()
    assert outcome.rc != 0
    assert "node0: kernel_headers: no " in outcome.text
    assert "make the medium that this host was installed from a repository" in outcome.text
    assert "or update the kernel, reboot, and run again" in outcome.text


def test_headers_that_no_repository_has_are_named(plan, server):
    server.program("dnf", "exit 0")
    outcome = plan()
    assert outcome.rc != 0
    assert f"node0: kernel_headers: no /lib/modules/{server.running}/build" in outcome.text


def test_without_python3_dnf_nothing_is_begun(plan, server):
    server.mounts.remove("usr/libexec")
    outcome = plan()
    assert outcome.rc != 0
    assert "node0: python3_dnf: no Python of this host has the module dnf" in outcome.text
    assert "dnf install python3-dnf" in outcome.text


def test_grubby_says_which_kernel_the_plan_would_reboot_into(plan, server):
    server.program("grubby", f"echo /boot/vmlinuz-{NEXT}")
    refused = plan()
    assert refused.rc != 0
    assert f"node0: kernel_drift: kernel {NEXT} boots next (now {server.running})" in refused.text
    built = plan(ascend_hdk_next_kernel="rebuild")
    assert built.rc == 0, built.text
    assert f"build the driver module for kernel {NEXT}, which boots next" in built.text


def test_docker_is_planned_by_its_own_role(plan):
    outcome = plan("playbooks/preflight.yml", preflight_scope=["docker_engine"], docker_engine_cli="/usr/bin/no-docker")
    assert "node0: docker_engine: /usr/bin/no-docker is not installed" in outcome.text
