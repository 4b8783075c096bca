# SPDX-License-Identifier: Apache-2.0
"""Packs telechat-run with all it needs on a node into one file that any Python >= 3.9 starts.

The same sources make the same bytes on every machine: sorted names, one fixed date, no compression. So a node's file is
compared by checksum, and an air-gapped image needs no installation.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import stat
import tempfile
import zipfile
from pathlib import Path
from typing import Dict, Tuple

PACKAGES = ("telechat_runtime", "click")
DATA = ("telechat_runtime/versions/matrix.json",)
SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = "from telechat_runtime.__main__ import main\n\nmain()\n"
DATE: Tuple[int, int, int, int, int, int] = (1980, 1, 1, 0, 0, 0)


def build(folder: Path) -> Tuple[Path, str]:
    """Write the zipapp into `folder`, named by what it is made from, unless it is there; return its path and sha256.

    Raises OSError when the folder can't be written, ImportError when a package is missing.
    """
    sources = _sources()
    target = folder / f"telechat-run-{_stamp(sources)}.pyz"
    if not target.exists():
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor, fresh = tempfile.mkstemp(dir=folder, prefix=".telechat-run-")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(SHEBANG)
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
                for name, path in sorted(sources.items()):
                    archive.writestr(_entry(name), path.read_bytes())
                archive.writestr(_entry("__main__.py"), MAIN)
        Path(fresh).chmod(0o644)
        Path(fresh).replace(target)
    return target, hashlib.sha256(target.read_bytes()).hexdigest()


def _sources() -> Dict[str, Path]:
    """Return the files to pack by their name in the zipapp: all modules, their data, the licences that travel along."""
    found: Dict[str, Path] = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ImportError(f"package {package} is not installed")
        root = Path(spec.origin).parent
        found.update({f"{package}/{path.relative_to(root).as_posix()}": path for path in root.rglob("*.py")})
        found.update({name: root.parent / name for name in DATA if name.startswith(f"{package}/")})
    for file in importlib.metadata.files("click") or []:
        if file.parent.name == "licenses" or file.name.upper().startswith("LICENSE"):
            found[f"click/{file.name}"] = Path(str(file.locate()))
    return found


def _stamp(sources: Dict[str, Path]) -> str:
    """Hash names, sizes and times of the sources: enough to know a build again without reading them."""
    digest = hashlib.sha256(MAIN.encode())
    for name, path in sorted(sources.items()):
        status = path.stat()
        digest.update(f"{name}\0{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, DATE)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry
