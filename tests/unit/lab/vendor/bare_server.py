# SPDX-License-Identifier: Apache-2.0
"""A server for one test: this machine's system in private mount and PID namespaces, what is written goes to overlays.

It has the chips, the PCI bus and the tools that the test gives it. Nothing it does reaches the machine around it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

from lab.vendor import hardware, pci

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1: where the kernel's headers are.
_EQUIP = """
for tool in dkms gcc make ifconfig; do command -v "$tool" >/dev/null || ln -s /bin/true "/usr/bin/$tool"; done
mkdir -p "$1"
getent passwd HwHiAiUser || { groupadd HwHiAiUser && useradd -m -g HwHiAiUser HwHiAiUser; }
"""
_PARTS = ("usr", "etc", "var", "root")

# $1: a folder for the layers, $2: the hardware folder, $3: nothing, or what `save_disks` kept of another server.
# One tmpfs carries all that is written.
_START = r"""
set -eu
mount -t tmpfs -o size=1500m tmpfs "$1"
for part in usr etc var root; do
  mkdir -p "$1/$part.up" "$1/$part.work"
  mount -t overlay -o "lowerdir=${3:+$3/$part:}/$part,upperdir=$1/$part.up,workdir=$1/$part.work" overlay "/$part"
done
mkdir -p /var/lib/hardware
mount --bind "$2" /var/lib/hardware
mount --bind "$2/pci" /sys/bus/pci/devices
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
echo none > "$1/boot_id"
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
mount -t tmpfs -o mode=755 tmpfs /dev
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/urandom c 1 9
mknod -m 666 /dev/zero c 1 5
ln -s /proc/self/fd /dev/fd
[ -n "$3" ] || { mkdir -p /usr/local/Ascend && rm -rf /usr/local/Ascend /etc/ascend_install.info; }
echo ready
exec sleep infinity
"""


class Server:
    """A server with Debian, the HDK's requirements and nothing of the HDK; with `disks`, what another one had."""

    def __init__(self, folder: Path, chips: int = 8, model: str = "910B2", *, disks: Path | None = None) -> None:
        self.hardware = folder / "hardware"
        if disks is None:
            hardware.create(self.hardware, chips, model)
        else:
            shutil.copytree(disks / "hardware", self.hardware)
        self._chips = chips
        self._started: list[subprocess.Popen[str]] = []
        (self.hardware / "pci").mkdir()
        self._layers = folder / "layers"
        self._layers.mkdir()
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        argv += ["sh", "-c", _START, "server", str(self._layers), str(self.hardware), str(disks or "")]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(f"no namespace for the server: {self._process.communicate()[1]}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(encoding="ascii")
        self._init = int(children)
        if disks is None:
            self._equip()
        self.boot()

    def save_disks(self, folder: Path) -> None:
        """Keep what has been written on the server, and its chips, in a folder for other servers to start from."""
        for part in _PARTS:
            kept = self.path(str(self._layers)) / f"{part}.up"
            subprocess.run(["cp", "--archive", str(kept), str(folder / part)], check=True)
        shutil.copytree(self.hardware, folder / "hardware", ignore=shutil.ignore_patterns("pci"))

    def stop(self) -> None:
        """End all its processes; its mounts go with the namespace."""
        self._process.kill()
        for process in [self._process, *self._started]:
            process.communicate()

    def path(self, name: str) -> Path:
        """Return where one of the server's files is found from outside."""
        return Path(f"/proc/{self._init}/root") / name.lstrip("/")

    def text(self, name: str) -> str:
        return self.path(name).read_text(encoding="utf-8")

    def run(self, *argv: str, stdin: str = "", user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program on the server; stderr goes where stdout goes."""
        return subprocess.run(
            self._inside(argv, user),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a program on the server, with stdin open and silent; it ends with the server at the latest."""
        process = subprocess.Popen(
            self._inside(argv, None), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._started.append(process)
        return process

    def wait_for(self, process: subprocess.Popen[str], text: str) -> None:
        """Read a started program's output up to a line with this text."""
        assert process.stdout is not None
        seen = ""
        while text not in seen:
            line = process.stdout.readline()
            assert line, f"{text!r} never came: {seen}"
            seen += line

    def install(self, package: Path, *options: str) -> tuple[int, str]:
        """Run a .run without questions; returns its code and what it said."""
        result = self.run(str(package), *(options or ("--full", "--install-for-all")), "--quiet")
        return result.returncode, plain(result.stdout)

    def hide(self, tool: str) -> None:
        """Make a tool missing."""
        found = self.run("sh", "-c", f"rm -f $(command -v {tool})")
        assert found.returncode == 0, found.stdout

    def power_off(self) -> None:
        """Lose what the kernel holds."""
        self.run("sh", "-c", "rm -rf /run/* /dev/davinci* /dev/devmm_svm /dev/hisi_hdc")

    def boot(self) -> None:
        """Come up: the bus is enumerated, enabled units start."""
        self.path("/proc/sys/kernel/random/boot_id").write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        pci.write(self.hardware / "pci", self._chips, self.hardware)
        unit = self.path("/etc/systemd/system/multi-user.target.wants/host_sys_init.service")
        if unit.is_symlink():
            lines = self.text("/etc/systemd/system/host_sys_init.service").splitlines()
            self.run(*next(line for line in lines if line.startswith("ExecStart=")).partition("=")[2].split())

    def reboot(self) -> None:
        self.power_off()
        self.boot()

    def _inside(self, argv: tuple[str, ...], user: str | None) -> list[str]:
        enter = [
            "nsenter",
            f"--target={self._init}",
            "--mount",
            "--pid",
            "--",
            "env",
            "-i",
            f"PATH={PATH}",
            "HOME=/root",
            "TMPDIR=/var/tmp",
        ]
        if user is not None:
            enter += ["setpriv", f"--reuid={user}", "--clear-groups"]
        return [*enter, *argv]

    def _equip(self) -> None:
        """Give it the OS packages that the vendor asks for: dkms and headers are only looked at, never run."""
        equipped = self.run("sh", "-ec", _EQUIP, "sh", f"/usr/lib/modules/{os.uname().release}/build")
        assert equipped.returncode == 0, equipped.stdout


WHOLE = {*(f"davinci{number}" for number in range(8)), "davinci_manager", "devmm_svm", "hisi_hdc"}


def board(server: Server, chip: int = 0) -> dict[str, str]:
    """Return what npu-smi says of a chip's board."""
    lines = server.run("npu-smi", "info", "-t", "board", "-i", str(chip)).stdout.splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def devices(server: Server) -> set[str]:
    """Return the names of the device nodes that a driver made."""
    names = {path.name for path in server.path("/dev").iterdir()}
    return names - {"null", "zero", "urandom", "fd"}


def plain(output: str) -> str:
    """Return an installer's output without colours and times, as somebody reads it."""
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    return re.sub(r"\[[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\] ", "", output)


def require(tool: str) -> None:
    """Say what is missing rather than skip: these tests are part of what must hold."""
    if shutil.which(tool, path=PATH) is None:
        raise RuntimeError(f"{tool} is missing; `make requirements` installs it")
