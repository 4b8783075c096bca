# SPDX-License-Identifier: Apache-2.0
"""Things that are slow to make: made once, under a name that holds the digest of what they are made from."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from lab import files
from lab.layout import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIGEST_LENGTH = 12
Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing of the cache."""

    name: str
    # What decides its content: JSON values.
    ingredients: tuple[object, ...]
    # Fills an empty folder; given the finished entries that this one is made from.
    build: Callable[[Path, dict[str, Path]], None]
    needs: tuple[Entry, ...] = ()

    @property
    def digest(self) -> str:
        """Name of this content."""
        parts = [self.ingredients, [need.digest for need in self.needs]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_DIGEST_LENGTH]

    def path(self, root: Path) -> Path:
        """Return where it is, once made."""
        return root / f"{self.name}-{self.digest}"


def sources(*modules: str) -> dict[str, str]:
    """Return the text of the lab's modules and folders that make something: a changed recipe is a new thing."""
    found: dict[str, str] = {}
    for module in modules:
        path = CHECKOUT / "lab" / module
        paths = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in paths:
            if "__pycache__" not in file.parts:
                found[str(file.relative_to(CHECKOUT))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def ensure(root: Path, entry: Entry, report: Report) -> Path:
    """Return the entry's folder, made first if it is missing; what it needs is made before."""
    path = entry.path(root)
    if path.is_dir():
        return path
    needs = {need.name: ensure(root, need, report) for need in entry.needs}
    with files.locked(root / f".{entry.name}.lock"):
        if path.is_dir():
            return path
        # Under the lock nobody builds: what stands there was left by a builder that died.
        for left in root.glob(f".{entry.name}-*.part"):
            files.remove_tree(left)
        temporary = root / f".{path.name}.part"
        temporary.mkdir()
        report(f"{entry.name}: building")
        begin = time.monotonic()
        try:
            entry.build(temporary, needs)
        except BaseException:
            files.remove_tree(temporary)
            raise
        temporary.rename(path)
        report(f"{entry.name}: built in {time.monotonic() - begin:.0f} s")
    return path


def ensure_all(root: Path, entries: Sequence[Entry], report: Report) -> dict[str, Path]:
    """Make what is missing, side by side; return where everything is.

    Waits for all builders; the first failure in the order given is raised.
    """
    root.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=max(1, len(entries))) as pool:
        futures = {entry.name: pool.submit(ensure, root, entry, report) for entry in entries}
    return {name: future.result() for name, future in futures.items()}
