# SPDX-License-Identifier: Apache-2.0
"""/etc/ascend_install.info: what the vendor's own scripts go by, and without which they do nothing."""

from __future__ import annotations

import os
from typing import Dict

from ansible.module_utils.ascend.atomic_file import replace_file
from ansible.module_utils.ascend.version_info import parse_key_values
from ansible.module_utils.hdk.state import DRIVER, INSTALL_INFO


def named_again(text: str, component: str, home: str, user: str, group: str) -> str:
    """Return the install info with the lines of a component that it does not name; unchanged where it does. Pure."""
    known = parse_key_values(text)
    part = component.title()
    if f"{part}_Install_Path_Param" in known:
        return text
    lines: Dict[str, str] = {"UserName": user, "UserGroup": group}
    lines.update(known)
    lines.update({f"{part}_Install_Type": "full", f"{part}_Install_Path_Param": home})
    if component == DRIVER:
        lines.update({"Driver_Install_For_All": "yes", "Driver_Install_Mode": "normal"})
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def write_back(component: str, home: str, user: str, group: str, root: str = "/") -> bool:
    """Name an installed component again in a host's install info; return whether it had to be."""
    path = os.path.join(root, INSTALL_INFO[1:])
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        text = ""
    named = named_again(text, component, home, user, group)
    if named == text:
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace_file(path, named)
    return True
