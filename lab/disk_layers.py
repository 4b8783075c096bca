# SPDX-License-Identifier: Apache-2.0
"""The disks of states: layers over the base image, made once by scripts in a server that is not booted, and cached.

A layer holds what its script changed on the disk (`upper`) and what it left in the chips (`hardware`). Hosts boot from
a stack of them without copying anything.
"""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import artifacts, overlay
from lab.cache import Entry, sources
from lab.errors import LabError
from lab.layout import HARDWARE
from lab.process import contained, run
from lab.states import RELEASE_OF, STATES
from lab.vendor import faults, hardware, packages, pci
from lab.vendor.releases import RELEASES

if TYPE_CHECKING:
    from lab.states import Step

# Inside a server that a script runs in: the vendor's packages, and the site's apt repository.
HDK = "/run/hdk"
_APT = "/run/apt-repository"

# `driver RELEASE OPTION…` and `firmware RELEASE OPTION…` run the vendor's packages; `fails` and `code N` are for those
# that shall not end with 0. HDK is where they lie.
_COMMANDS = """\
set -eu
{names}
driver() {{ release=$1; shift; eval "sh $HDK/\\$driver_$release \\"\\$@\\" --quiet"; }}
firmware() {{ release=$1; shift; eval "sh $HDK/\\$firmware_$release \\"\\$@\\" --quiet"; }}
code() {{
  wanted=$1; shift; code=0; "$@" || code=$?
  [ $code = $wanted ] || {{ echo "$* ended with $code"; exit 1; }}
}}
fails() {{ code=0; "$@" || code=$?; [ $code != 0 ] || {{ echo "$* did not fail"; exit 1; }}; }}
"""

# A server that is not booted: its chips on the bus, its driver loaded, its packages from a folder.
_UNBOOTED = """\
if [ -d /sys/bus/pci/devices ]; then mount --bind {hardware}/bus/pci/devices /sys/bus/pci/devices
else mount --bind {hardware}/bus /sys/bus; fi
packages() {{
  echo 'deb [trusted=yes] file:{apt} ./' >/run/sources.list
  options='-oDir::Etc::SourceList=/run/sources.list -oDir::Etc::SourceParts=- -oDir::State::Lists=/run/lists'
  mkdir -p /run/lists/partial
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  apt-get --quiet $options update
  apt-get --quiet $options --yes --no-install-recommends -oDpkg::Options::=--force-unsafe-io install "$@"
}}
unit=/etc/systemd/system/multi-user.target.wants/host_sys_init.service
if [ -e $unit ]; then $(sed -n 's/^ExecStart=//p' $unit); fi
"""

_MOUNT_AND_RUN = 'mount -t overlay overlay -o "$1" "$2"; shift 2; exec "$@"'


@cache
def run_files() -> Entry:
    """Return the vendor's .run files of all releases that states are made with."""
    return Entry(name="runfiles", ingredients=(platform.machine(), sources("vendor")), build=_build_run_files)


@cache
def layer(name: str) -> Entry | None:
    """Return the layer of a state's disk; None for the base image's."""
    state = STATES[name]
    step, on = state.disk, state.on
    if step is None or on is None:
        return layer(on) if on else None
    below = layer(on)
    packages_needed = any(word in step.script for word in ("driver ", "firmware "))
    needs = [
        artifacts.base(),
        artifacts.apt(),
        *([run_files()] if packages_needed else []),
        *([below] if below else []),
    ]
    # No name is another one's beginning and a '-': the cache tells entries by that.
    return Entry(
        name=f"state-{name.replace('-', '_')}",
        ingredients=(step.script, dict(step.faults), sources("disk_layers.py")),
        build=lambda folder, made: _build(folder, made, on, step),
        needs=tuple(needs),
    )


def stack(name: str) -> list[Entry]:
    """Return the layers that a state's disk is made of, the uppermost first."""
    state = STATES[name]
    below = stack(state.on) if state.on else []
    own = layer(name) if state.disk is not None else None
    return [own, *below] if own else below


def commands(folder: str) -> str:
    """Return the beginning of every script, where the packages lie in this folder."""
    names = [f"HDK={folder}"]
    for word, release in RELEASE_OF.items():
        names.append(f"driver_{word}={packages.driver_name(release, _architecture())}")
        names.append(f"firmware_{word}={packages.firmware_name(RELEASES[release].firmware)}")
    return _COMMANDS.format(names="\n".join(names))


def put_chips(folder: Path, below: Path | None) -> None:
    """Give the chips in a hardware folder the firmware that a layer left in its chips, running since the last boot."""
    if below is None:
        return
    left = hardware.read(below / "hardware")["chips"][0]["firmware"]
    document = hardware.read(folder)
    for chip in document["chips"]:
        chip["firmware"] = {**left, "running": left["flash"], "flashed_in_boot": ""}
    (folder / hardware.FILE).write_text(json.dumps(document, indent=1) + "\n")


def _build_run_files(folder: Path, _needs: dict[str, Path]) -> None:
    with tempfile.TemporaryDirectory(prefix="hdk-") as temporary:
        for path in packages.build(Path(temporary), _architecture(), list(RELEASE_OF.values())):
            _extract_run_files(path, folder)


def _extract_run_files(archive: Any, folder: Path) -> None:
    """Take the .run files out of a zip, also out of zips in it."""
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            if name.endswith(".run"):
                opened.extract(name, folder)
            elif name.endswith(".zip"):
                with opened.open(name) as inner:
                    _extract_run_files(inner, folder)


def _architecture() -> str:
    return platform.machine().replace("_", "-")


def _build(folder: Path, made: dict[str, Path], on: str, step: Step) -> None:
    """Run a script over the disk of another state."""
    layers = [entry.path(folder.parent) for entry in stack(on)]
    chips = folder / "hardware"
    hardware.create(chips, 1)
    put_chips(chips, layers[0] if layers else None)
    pci.write(chips / "bus/pci/devices", 1, chips)
    for name, value in step.faults.items():
        faults.set_fault(chips, name, value)
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(mode=0o755)
    script = commands(HDK) + _UNBOOTED.format(hardware=HARDWARE, apt=_APT) + step.script
    options = overlay.options(made["base"], layers, folder / "upper", folder / "work")
    command = _nspawn(folder, made, script)
    try:
        run(contained(["sh", "-euc", _MOUNT_AND_RUN, "layer", options, folder / "root", *command]))
    except LabError as error:
        words = str(error).partition("\nended with ")[2]
        raise LabError(f"this script over the state {on} ended with {words}\n\n{step.script}") from error
    for name in ("work", "root"):
        shutil.rmtree(folder / name)


def _nspawn(folder: Path, made: dict[str, Path], script: str) -> list[str]:
    command = [
        "systemd-nspawn",
        "--quiet",
        f"--directory={folder / 'root'}",
        "--machine=layer",
        "--register=no",
        "--keep-unit",
        "--private-network",
        "--console=pipe",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--as-pid2",
        "--capability=all",
        f"--bind={folder / 'hardware'}:{HARDWARE}",
        f"--bind-ro={made['apt']}:{_APT}",
    ]
    if "runfiles" in made:
        command.append(f"--bind-ro={made['runfiles']}:{HDK}")
    return [*command, "sh", "-c", script]
