# SPDX-License-Identifier: Apache-2.0
"""The root folder of a host that is none: what looks at a host takes its root."""

from __future__ import annotations

from pathlib import Path


class HostRoot:
    """Files and links below a folder that stands for `/`."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._folder = root

    def write(self, path: str, text: str) -> Path:
        """Write a file, and make its folders; return its path."""
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def link(self, path: str, target: str) -> None:
        """Make a link, and its folders."""
        link = self._folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
