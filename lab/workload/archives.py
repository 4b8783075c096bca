# SPDX-License-Identifier: Apache-2.0
"""What the site's file server offers for the demo: the training data and the CPU shim, as tar archives."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from lab import python_root
from lab.layout import CHECKOUT, MINDSPORE_ENV

DATASET = "demo-dataset.tar"
SHIM = "cpu-shim.tar"
DESCRIPTION = "workload.json"
_DATASET_SCRIPT = (
    f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from lab.workload.dataset import main; sys.exit(main())"
)
_OUTPUT = "/opt/dataset"
_SHIM_FOLDER = CHECKOUT / "lab" / "workload" / "cpu_shim"


def build(folder: Path, needs: dict[str, Path]) -> None:
    """Make both archives, and beside them what a site lists of a file: its size in bytes and its sha256."""
    dataset = folder / "dataset"
    dataset.mkdir()
    binds = {
        MINDSPORE_ENV: (needs["mindspore"], "ro"),
        str(CHECKOUT): (CHECKOUT, "ro"),
        _OUTPUT: (dataset, "rw"),
    }
    python_root.run_inside(
        needs["python"],
        [f"{MINDSPORE_ENV}/bin/python", "-c", _DATASET_SCRIPT, "--output", _OUTPUT],
        binds=binds,
    )
    write_tar(sorted(dataset.iterdir()), folder / DATASET)
    write_tar(sorted(_SHIM_FOLDER.glob("*.py")), folder / SHIM)
    facts = {name: describe(folder / name) for name in (DATASET, SHIM)}
    (folder / DESCRIPTION).write_text(json.dumps(facts, indent=1) + "\n")


def describe(path: Path) -> dict[str, Any]:
    """Return size and sha256 of a file."""
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def write_tar(paths: list[Path], archive: Path) -> None:
    """Pack files side by side; the same files make the same bytes."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            info = tarfile.TarInfo(path.name)
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(info, file)
