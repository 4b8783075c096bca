# SPDX-License-Identifier: Apache-2.0
"""The inventory that the lab writes, as the administrators of a site would write theirs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab import files
from lab.layout import CHECKOUT, HUB_ADDRESS, MINDSPORE_ENV

if TYPE_CHECKING:
    from pathlib import Path

    from lab.layout import Lab
    from lab.settings import Settings

GROUP = "ascend"
SITE = CHECKOUT / "lab" / "site"
LIGHT_SITE = CHECKOUT / "lab" / "light" / "site"


def hosts_yaml(lab: Lab, *, hosts: int, chips: int) -> str:
    """Return hosts.yml: connection, rank and NPU count of every host, as literals."""
    lines = ["---", f"{GROUP}:", "  hosts:"]
    for host in lab.hosts(hosts):
        variables = {
            "ansible_host": host.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts}",
            "ascend_node_rank": host.index,
            "ascend_npu_count": chips,
        }
        lines.append(f"    {host.name}:")
        lines += [f"      {name}: {json.dumps(value)}" for name, value in variables.items()]
    return "\n".join([*lines, ""])


def lab_yaml(lab: Lab, *, packages: Path, image: dict[str, str], shared: dict[str, Any]) -> str:
    """Return group_vars/all/lab.yml: where things are, for the site's own variables to refer to."""
    variables = {
        # All labs use the same addresses: a connection that is kept open belongs to this one.
        "ansible_control_path_dir": str(lab.connections),
        "lab_name": lab.name,
        "lab_hub_address": HUB_ADDRESS,
        "lab_hub_url": f"http://{HUB_ADDRESS}",
        "lab_share": str(lab.share),
        "lab_packages": str(packages),
        "lab_mindspore_env": MINDSPORE_ENV,
        "lab_image_archive": str(lab.share / image["archive"]),
        "lab_image_tag": image["tag"],
        "lab_image_id": image["image_id"],
        "lab_shared_files": shared,
    }
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in variables.items()), ""])


def documents(
    lab: Lab, settings: Settings, *, packages: Path, image: dict[str, str], shared: dict[str, Any]
) -> dict[str, str]:
    """Return all files of the inventory, path -> text: hosts.yml, the site's files, the lab's paths."""
    folder = LIGHT_SITE if settings.light else SITE
    site = {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        **site,
        "hosts.yml": hosts_yaml(lab, hosts=settings.hosts, chips=settings.chips),
        "group_vars/all/lab.yml": lab_yaml(lab, packages=packages, image=image, shared=shared),
    }


def write(lab: Lab, texts: dict[str, str]) -> bool:
    """Write the inventory, remove what no longer belongs to it; return whether anything changed."""
    changed = [files.write_atomically(lab.inventory / name, text) for name, text in texts.items()]
    for path in sorted(lab.inventory.rglob("*")):
        if path.is_file() and str(path.relative_to(lab.inventory)) not in texts:
            path.unlink()
            changed.append(True)
    return any(changed)
