# SPDX-License-Identifier: Apache-2.0
"""A root of the hosts' Debian with pip and what MindSpore needs: what is made for hosts is made in it.

So the machine may have any Python. Its network is the machine's, and so are its certificates and pip's configuration.
"""

from __future__ import annotations

import configparser
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab import image
from lab.debian import bootstrap_argv, machine_mirrors
from lab.process import contained, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PACKAGES = (*image.PACKAGES, "ca-certificates", "python3-venv")
_PASSED_ON = re.compile(r"PIP_.*|(?:HTTPS?|FTP|ALL|NO)_PROXY|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE", re.IGNORECASE)
# Certificates that are linked from /etc/ssl/certs lie in the other two.
_NETWORK = ("/etc/hosts", "/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")
_HOME = "/root"
_FILE_URL = re.compile(r"file://(?:localhost)?")
_INDEX = "simple"


def build(folder: Path, _needs: dict[str, Path]) -> None:
    """Make the root file system."""
    run(contained(bootstrap_argv(folder / "root", PACKAGES, machine_mirrors())))


def python(made: Path) -> str:
    """Return the path of its interpreter by version, so that no other Python can be taken for it."""
    return f"/usr/bin/{(made / 'root/usr/bin/python3').readlink().name}"


def run_inside(made: Path, argv: Sequence[str], *, binds: Mapping[str, tuple[Path, str]]) -> str:
    """Run a command in the root, which stays as it is, and return its standard output.

    `binds` are folders of this machine by the path that they get inside, each `rw` or `ro`. Raises LabError.
    """
    passed_on = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    configuration = pip_configuration(os.environ)
    named = local_paths([*passed_on.values(), *_values(configuration)])
    inside = {**{str(path): (path, "ro") for path in (*_existing(_NETWORK), *configuration, *named)}, **binds}
    # Wheels are unpacked there: as files of the machine, not in its memory.
    with tempfile.TemporaryDirectory(prefix="lab-python-") as temporary:
        inside["/tmp"] = (Path(temporary), "rw")  # noqa: S108 - of the root, and empty
        command = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={made / 'root'}",
            "--volatile=overlay",
            "--machine=python",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--resolv-conf=replace-host",
            "--timezone=off",
            "--link-journal=no",
            "--as-pid2",
            *(f"--setenv={name}={value}" for name, value in {**passed_on, "HOME": _HOME}.items()),
            *(_bind(source, target, mode) for target, (source, mode) in inside.items()),
        ]
        return run(contained([*command, *argv]))


def pip_configuration(environment: Mapping[str, str]) -> list[Path]:
    """Return pip's configuration files on this machine, and the logins that it reads (pip's documentation)."""
    home = Path(environment.get("HOME") or _HOME)
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    named = environment.get("PIP_CONFIG_FILE")
    candidates = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf", user / "pip/pip.conf"]
    return _existing([*candidates, home / ".netrc", *([named] if named else [])])


def local_paths(values: Iterable[str]) -> list[Path]:
    """Return the files and folders of this machine that options name, as paths or as file:// URLs."""
    found = []
    for word in (word for value in values for word in value.split()):
        path = Path(_FILE_URL.sub("", word))
        if path.is_absolute() and path != Path(os.devnull):
            # The pages of a package index link to files that lie beside their folder.
            found.append(path.parent if _FILE_URL.match(word) and path.name == _INDEX else path)
    return _existing(found)


def _values(files: Iterable[Path]) -> list[str]:
    found: list[str] = []
    for path in files:
        parser = configparser.RawConfigParser()
        if path.suffix == ".conf":
            parser.read(path)
            found += [value for section in parser.sections() for value in parser[section].values()]
    return found


def _existing(paths: Iterable[str | Path]) -> list[Path]:
    return [path for path in dict.fromkeys(Path(each) for each in paths) if path.exists()]


def _bind(source: Path, target: str, mode: str) -> str:
    return f"--bind{'' if mode == 'rw' else '-ro'}={source}:{target}"
