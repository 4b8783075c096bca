# SPDX-License-Identifier: Apache-2.0
"""Bring a lab up, take it down."""

from __future__ import annotations

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import (
    artifacts,
    background,
    files,
    image,
    inventory,
    limits,
    network,
    power,
    process,
    provision,
    ssh,
    supervision,
)
from lab.cache import Report, ensure_all
from lab.cgroup import Group
from lab.errors import LabError
from lab.host_state import events, state
from lab.layout import HUB_ADDRESS, cache_root
from lab.server import PORT
from lab.settings import Settings, read_settings, require, settle
from lab.supervisor import BootSettings
from lab.workload import archives

if TYPE_CHECKING:
    from lab.layout import Host, Lab

FOUNDATION = ("base", "apt")


def claim(lab: Lab) -> None:
    """Make sure that the name means this lab. Raises LabError when a lab of this name lives in another LAB_STATE."""
    owner = lab.lock.read_text().strip()
    if owner and Path(owner) != lab.state and (Path(owner) / lab.settings.name).exists():
        raise LabError(
            f"lab {lab.name!r} already is in {owner}: choose another --name, or use LAB_STATE={Path(owner).parent}"
        )
    lab.lock.write_text(f"{lab.state}\n")


def up(
    lab: Lab, *, hosts: int | None, chips: int | None, mindspore: bool, light: bool, boot: bool, report: Report
) -> bool:
    """Bring the lab up, or what is missing of it; return whether anything had to be done.

    Without `boot`, hosts that are off stay off. Raises LabError for wishes that contradict the running lab and for a
    host that does not boot.
    """
    with files.locked(lab.lock):
        claim(lab)
        settings = settle(read_settings(lab), hosts=hosts, chips=chips, mindspore=mindspore, light=light)
        limits.make_room(settings.hosts, report, light=settings.light)
        made = ensure_all(cache_root(), artifacts.wanted(with_mindspore=mindspore), report)
        settings = _with_foundation(settings, made)
        made.update({name: Path(path) for name, path in settings.foundation.items()})
        lab.storage.mkdir(parents=True, exist_ok=True)
        changed = [files.write_atomically(lab.settings, json.dumps(asdict(settings)) + "\n")]
        provision.make_key(lab.key, f"lab {lab.name}")
        changed.append(_make_site(lab, settings, made))
        changed.append(network.make_hub(lab))
        changed.append(_serve(lab))
        changed.append(_make_hosts(lab, settings, made, report))
        if boot:
            changed.append(power.switch_on(lab, lab.hosts(settings.hosts), report))
    return any(changed)


def down(lab: Lab, report: Report) -> bool:
    """Remove everything of the lab, whatever state it is in; return whether there was anything."""
    with files.locked(lab.lock):
        claim(lab)
        indexes = _traces(lab)
        group = Group(path=lab.netns)
        found = lab.state.exists() or network.exists(lab.netns) or bool(indexes) or bool(group.members())
        hosts = [lab.host(index) for index in sorted(indexes)]
        ssh.end_connections(lab)
        # Of whichever kind the hosts were: what says so may be gone.
        supervision.end(supervision.of_light_hosts(lab))
        with ThreadPoolExecutor(max_workers=power.WORKERS) as pool:
            list(pool.map(supervision.end, map(supervision.of_host, hosts)))
        for record in (lab.server, *(host.poor_link for host in hosts)):
            process.kill(record)
        network.delete([*(host.netns for host in hosts), lab.netns])
        group.kill()
        group.remove()
        if lab.state.exists():
            files.remove_tree(lab.state)
        lab.lock.unlink()
        if found:
            report(f"lab {lab.name}: gone")
    return found


def status(lab: Lab) -> dict[str, Any]:
    """Return what there is of the lab, as data."""
    settings = require(lab)
    hosts = [
        {
            "name": host.name,
            "address": host.address,
            "state": state(host),
            "cable": _cable(host),
            "boots": events(host).count("boot"),
            "faults": json.loads(host.faults.read_text()) if host.faults.exists() else {},
        }
        for host in lab.hosts(settings.hosts)
    ]
    return {
        "name": lab.name,
        "state": str(lab.state),
        "inventory": str(lab.inventory / "hosts.yml"),
        "url": f"http://{HUB_ADDRESS}/",
        "server": "running" if process.alive(lab.server) else "off",
        "hosts": hosts,
    }


def _cable(host: Host) -> str:
    if host.unplugged.exists():
        return "unplugged"
    return "poor" if process.alive(host.poor_link) else "plugged"


def _with_foundation(settings: Settings, made: dict[str, Path]) -> Settings:
    """Fix what the hosts stand on at the first `up`; afterwards check that it is still there."""
    if not settings.foundation:
        return replace(settings, foundation={name: str(made[name]) for name in FOUNDATION})
    for name, path in settings.foundation.items():
        if not Path(path).is_dir():
            raise LabError(f"{path}, the {name} that the lab's hosts stand on, was deleted: run `python3 -m lab down`")
    return settings


def _make_site(lab: Lab, settings: Settings, made: dict[str, Path]) -> bool:
    """Make the file server's content and the inventory; return whether anything changed."""
    facts = json.loads((made["image"] / image.DESCRIPTION).read_text())
    shared = _shared_files(made)
    links = {
        lab.share / image.ARCHIVE: made["image"] / image.ARCHIVE,
        lab.share / image.DESCRIPTION: made["image"] / image.DESCRIPTION,
        **{lab.share / name: made["workload"] / name for name in shared},
        lab.www / "apt": made["apt"],
        lab.www / "share": lab.share,
    }
    changed = [files.link_atomically(path, target) for path, target in links.items()]
    texts = inventory.documents(lab, settings, packages=made["hdk"], image=facts, shared=shared)
    return inventory.write(lab, texts) or any(changed)


def _shared_files(made: dict[str, Path]) -> dict[str, Any]:
    """Return size and sha256 of the workload's archives, by name; nothing without a MindSpore environment."""
    if "workload" not in made:
        return {}
    facts: dict[str, Any] = json.loads((made["workload"] / archives.DESCRIPTION).read_text())
    return facts


def _serve(lab: Lab) -> bool:
    """Start the file server unless it runs; return whether it had to be started."""
    if process.alive(lab.server):
        return False
    argv = [sys.executable, "-m", "lab.server", str(lab.www), HUB_ADDRESS, str(PORT), str(lab.server)]
    background.start(network.inside(lab.netns, argv), record=lab.server, log=lab.state / "server.log")
    return True


def _make_hosts(lab: Lab, settings: Settings, made: dict[str, Path], report: Report) -> bool:
    hosts = lab.hosts(settings.hosts)
    with ThreadPoolExecutor(max_workers=power.WORKERS) as pool:
        changed = [*pool.map(lambda host: _prepare(lab, host, settings, made, report), hosts)]
    changed.append(provision.write_known_hosts(lab, hosts))
    return any(changed)


def _prepare(lab: Lab, host: Host, settings: Settings, made: dict[str, Path], report: Report) -> bool:
    """Make the host unless it is there; say what its next boot takes."""
    changed = provision.make(lab, host, base=made["base"], apt=made["apt"], chips=settings.chips, light=settings.light)
    boot = BootSettings(
        base=str(made["base"]),
        chips=settings.chips,
        mindspore=str(made["mindspore"]) if "mindspore" in made else None,
        group=(supervision.of_light_hosts(lab) if settings.light else supervision.of_host(host)).group,
        layers=BootSettings.read(host.boot_settings).layers if host.boot_settings.exists() else (),
    )
    if not provision.write_boot_settings(host, boot):
        return changed
    if state(host) != "off":
        report(f"{host.name}: its MindSpore environment changes at its next reboot")
    return True


def _traces(lab: Lab) -> set[int]:
    """Return the indexes of all hosts of which anything is left: folder, network namespace or control group."""
    names = [path.name.removesuffix(".part").removeprefix(".") for path in (lab.state / "hosts").glob("*")]
    prefix = f"{lab.netns}-"
    names += [path.name.removeprefix(prefix) for path in network.NAMESPACES.glob(f"{prefix}*")]
    names += [path.name for folder in Group(path=lab.netns).folders() for path in folder.glob("node*")]
    return {int(name.removeprefix("node")) for name in names if re.fullmatch(r"node\d+", name)}
