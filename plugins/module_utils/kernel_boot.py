# SPDX-License-Identifier: Apache-2.0
"""Which kernel a server boots next: what its boot loader is set to, else the newest that is installed."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional

from ansible.module_utils.ascend.kernels import installed_kernels, kernel_of
from ansible.module_utils.command_result import Run
from ansible.module_utils.os_packages import REDHAT

_GRUB_FILES = ("boot/grub/grub.cfg", "boot/grub2/grub.cfg", "boot/efi/EFI/*/grub.cfg")
_GRUB_MENU = re.compile(r"""\s*(?:menuentry|submenu)\s+(?P<quote>['"])(?P<title>.*?)(?P=quote)(?P<options>.*)\{\s*$""")
_GRUB_ID = re.compile(r"""(?:\$menuentry_id_option|--id)[\s=]+['"]?(?P<id>[^'"\s]+)""")
_GRUB_LINUX = re.compile(r"\s*linux(?:16|efi)?\s+(?P<path>\S+)")
_GRUB_DEFAULT = re.compile(r"""\s*set\s+default=["']?(?P<value>[^"'\n]*)["']?\s*$""", re.MULTILINE)


@dataclass
class MenuEntry:
    """One entry of GRUB's menu: the kernel it boots, or the entries below it."""

    title: str
    id: Optional[str] = None
    kernel: Optional[str] = None
    children: List[MenuEntry] = field(default_factory=list)


def next_kernel(run: Run, family: Optional[str], root: str = "/") -> Optional[str]:
    """Return the release that the next boot starts; None where no kernel image is installed, as in a container."""
    installed = installed_kernels(root)
    if len(installed) <= 1:
        return installed[0] if installed else None
    chosen = _from_grubby(run) if family == REDHAT else None
    chosen = chosen or _from_grub(root)
    return chosen if chosen in installed else installed[-1]


def grub_default(config: str, environment: str) -> Optional[str]:
    """Return the release that GRUB boots, from the texts of grub.cfg and grubenv; None when the entry names none."""
    settings = _grub_environment(environment)
    chosen = settings.get("next_entry") or _configured(config, settings)
    menu = grub_menu(config)
    # GRUB takes the first entry where the default names none.
    entry = _entry(menu, chosen.split(">")) or (menu[0] if menu else None)
    while entry is not None and entry.children:
        entry = entry.children[0]
    return entry.kernel if entry else None


def grub_menu(config: str) -> List[MenuEntry]:
    """Parse the menu of a grub.cfg."""
    top = MenuEntry(title="")
    # Blocks that are no menu, such as functions, are open too, under the entry they stand in.
    open_blocks = [top]
    for line in config.splitlines():
        match = _GRUB_MENU.match(line)
        if match:
            identity = _GRUB_ID.search(match.group("options"))
            entry = MenuEntry(title=match.group("title"), id=identity.group("id") if identity else None)
            open_blocks[-1].children.append(entry)
            open_blocks.append(entry)
        elif line.rstrip().endswith("{"):
            open_blocks.append(open_blocks[-1])
        elif line.strip() == "}" and len(open_blocks) > 1:
            open_blocks.pop()
        else:
            image = _GRUB_LINUX.match(line)
            if image and open_blocks[-1] is not top:
                open_blocks[-1].kernel = kernel_of(image.group("path"))
    return top.children


def _from_grubby(run: Run) -> Optional[str]:
    answer = run(["grubby", "--default-kernel"])
    return kernel_of(answer.stdout.strip()) if answer.rc == 0 else None


def _from_grub(root: str) -> Optional[str]:
    for pattern in _GRUB_FILES:
        for path in sorted(glob.glob(os.path.join(root, pattern))):
            return grub_default(_text_of(path), _text_of(os.path.join(os.path.dirname(path), "grubenv")))
    return None


def _grub_environment(text: str) -> Dict[str, str]:
    """Return grubenv's settings: lines NAME=VALUE, then padding of #."""
    triples = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, sign, value in triples if sign}


def _configured(config: str, settings: Dict[str, str]) -> str:
    values = [match.group("value") for match in _GRUB_DEFAULT.finditer(config)]
    value = next((value for value in reversed(values) if "next_entry" not in value), "0")
    return (settings.get("saved_entry") if "saved_entry" in value else value) or "0"


def _entry(menu: List[MenuEntry], path: List[str]) -> Optional[MenuEntry]:
    """Follow a default such as `1>2`, `ID>ID` or a title down the menu."""
    found = None
    for step in path:
        if step.isdigit() and int(step) < len(menu):
            found = menu[int(step)]
        else:
            found = next((entry for entry in menu if step in (entry.id, entry.title)), None)
        if found is None:
            return None
        menu = found.children
    return found


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
