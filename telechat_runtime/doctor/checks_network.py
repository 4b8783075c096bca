# SPDX-License-Identifier: Apache-2.0
"""Checks of the network between NPUs (RoCE), as hccn_tool tells it; and which NPUs ping which.

One node needs none of it: its NPUs talk over HCCS. Between nodes HCCL needs an address and a link of every NPU, the
same TLS switch on all, and that they reach each other (hiascend.com, "HCCL cluster communication failure").
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from telechat_runtime.cluster.contract import ON_CPU
from telechat_runtime.doctor.facts import Finding, NodeFacts, Ping, Status, not_seen, numbered
from telechat_runtime.remote.answers.examine import Hccn, HccnDevice

_SWITCH = {"0": "off", "1": "on"}
_NAMED_PINGS = 4
# A node pings the nodes this far after it (round the ring). Up to four nodes these are all pairs; of more nodes each is
# still pinged by three, along paths of all lengths.
PEER_DISTANCES = (1, 2, 4)
_ALL_PAIRS_UP_TO = 4


def peers_of(rank: int, node_count: int) -> Tuple[int, ...]:
    """Return the node ranks that a node pings: all others of up to four nodes, else three of them."""
    distances = range(1, node_count) if node_count <= _ALL_PAIRS_UP_TO else PEER_DISTANCES
    return tuple((rank + distance) % node_count for distance in distances)


def addresses(section: Optional[Hccn]) -> Dict[int, str]:
    """Return the address of each NPU that has one."""
    devices = section.devices if section else ()
    return {device.device: device.address for device in devices if device.address}


def tls_switches(section: Optional[Hccn]) -> Iterator[str]:
    """Yield the TLS switch of each NPU that told it."""
    for device in section.devices if section else ():
        if device.tls is not None:
            yield device.tls


def address(facts: NodeFacts) -> Finding:
    """Every NPU has a RoCE address."""
    unseen = _unseen(facts)
    if unseen:
        return unseen
    bare = [device.device for device in _devices(facts) if not device.address]
    if not bare:
        return Finding(Status.OK, "every NPU has an address")
    detail = f"{numbered('NPU', bare)} without an address"
    if not _needs_network(facts):
        return Finding(Status.OK, f"{detail}: {_why_not_needed(facts)}")
    return Finding(Status.FAIL, detail, "write address_N and netmask_N to /etc/hccn.conf; hccn_tool -a -cfg recovery")


def link(facts: NodeFacts) -> Finding:
    """Every NPU's RoCE port has a link."""
    unseen = _unseen(facts)
    if unseen:
        return unseen
    down = [device.device for device in _devices(facts) if device.link != "UP"]
    if not down:
        return Finding(Status.OK, "UP on every NPU")
    next_step = f"hccn_tool -i {down[0]} -optical -g; check the cable and the switch's port"
    return Finding(_severity(facts), f"{numbered('NPU', down)} not UP", next_step)


def net_health(facts: NodeFacts) -> Finding:
    """Every NPU reaches the address that it watches; Init is one that watches none, which is common."""
    unseen = _unseen(facts)
    if unseen:
        return unseen
    words: Dict[str, List[int]] = {}
    for device in _devices(facts):
        words.setdefault(device.net_health or "nothing", []).append(device.device)
    bad = {word: numbers for word, numbers in words.items() if word not in ("Success", "Init")}
    if bad:
        detail = "; ".join(f"{numbered('NPU', numbers)}: {word}" for word, numbers in bad.items())
        next_step = "hccn_tool -i NPU -netdetect -g names the address that the NPU can't reach"
        return Finding(_severity(facts), detail, next_step)
    if "Init" in words:
        detail = f"{numbered('NPU', words['Init'])}: Init, no address to watch is set"
        status = Status.WARN if _needs_network(facts) else Status.OK
        return Finding(
            status, detail, "hccn_tool -i NPU -netdetect -s address GATEWAY" if _needs_network(facts) else ""
        )
    return Finding(Status.OK, "Success on every NPU")


def tls(facts: NodeFacts) -> Finding:
    """The TLS switch is the same on all NPUs of all nodes."""
    unseen = _unseen(facts)
    if unseen:
        return unseen
    most = facts.agreed.tls
    if most is None:
        return not_seen("hccn_tool does not tell the TLS switch")
    other = [device.device for device in _devices(facts) if device.tls not in (None, most)]
    if other:
        on = "1" if most == "0" else "0"
        detail = f"{numbered('NPU', other)}: TLS is {_SWITCH.get(on, on)}, most NPUs have it {_SWITCH.get(most, most)}"
        return Finding(Status.FAIL, detail, f"hccn_tool -i NPU -tls -s enable {most}")
    silent = [device.device for device in _devices(facts) if device.tls is None]
    if silent:
        return not_seen(f"{numbered('NPU', silent)}: hccn_tool does not tell the TLS switch")
    return Finding(Status.OK, f"{_SWITCH.get(most, most)} on every NPU")


def ping(facts: NodeFacts) -> Finding:
    """The node's NPUs reach those of the nodes that `peers_of` names."""
    unseen = _unseen(facts)
    if unseen:
        return unseen
    if len(facts.cluster.nodes) == 1:
        return Finding(Status.OK, "one node: nobody to reach")
    if facts.pings is None:
        return not_seen("the node gave no answer to the order to ping")
    return _judge_pings(facts.pings)


def _judge_pings(pings: Sequence[Ping]) -> Finding:
    lost = [one for one in pings if one.answered is False]
    tried = [one for one in pings if one.answered is not None]
    if lost:
        shown = ", ".join(str(one) for one in lost[:_NAMED_PINGS])
        more = f" and {len(lost) - _NAMED_PINGS} more" if len(lost) > _NAMED_PINGS else ""
        detail = f"{len(lost)} of {len(tried)} pings are lost: {shown}{more}"
        return Finding(Status.FAIL, detail, "check addresses, netmasks and gateways, and the switch between them")
    if not tried:
        return not_seen("no NPU of it and of its peers has an address to ping")
    left_out = len(pings) - len(tried)
    if left_out:
        return Finding(Status.WARN, f"{len(tried)} pings came back, there was no time for {left_out}")
    return Finding(Status.OK, f"{len(tried)} pings came back")


def _unseen(facts: NodeFacts) -> Optional[Finding]:
    section = facts.hccn
    if section is None:
        return not_seen(facts.why_not_seen())
    if section.devices:
        return None
    if section.program:
        return not_seen("there is no NPU to ask hccn_tool for")
    if facts.cluster.device_target == ON_CPU:
        return not_seen("no hccn_tool, and telechat_device_target is CPU")
    return Finding(Status.FAIL, "there is no hccn_tool", "run playbooks/hdk.yml: the driver brings it")


def _devices(facts: NodeFacts) -> Sequence[HccnDevice]:
    section = facts.hccn
    return section.devices if section else ()


def _needs_network(facts: NodeFacts) -> bool:
    return len(facts.cluster.nodes) > 1 and facts.cluster.device_target != ON_CPU


def _why_not_needed(facts: NodeFacts) -> str:
    return "one node needs none" if len(facts.cluster.nodes) == 1 else "jobs run on CPU"


def _severity(facts: NodeFacts) -> Status:
    return Status.FAIL if _needs_network(facts) else Status.WARN
