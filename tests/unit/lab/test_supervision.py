# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from lab import supervision
from lab.layout import find_lab


def test_mounts_of_a_supervisor_are_its_own_and_systemd_gets_a_delegated_unit() -> None:
    found = supervision.of_host(find_lab("x", {"LAB_STATE": "/s"}).host(1))
    plain = supervision.argv(found, systemd=False)
    assert plain[:4] == ["unshare", "--mount", "--propagation", "slave"]
    assert plain[-3:] == ["lab.supervisor", "x", "1"]
    unit = supervision.argv(found, systemd=True)
    assert unit[0] == "systemd-run"
    assert {"--unit=lab-x-node1.service", "--property=Delegate=yes", "--setenv=LAB_STATE=/s"} < set(unit)
    assert unit[-len(plain) :] == plain


def test_light_hosts_share_a_supervisor_and_a_group_that_no_host_of_another_lab_has() -> None:
    lab = find_lab("x", {"LAB_STATE": "/s"})
    found = supervision.of_light_hosts(lab)
    assert supervision.argv(found, systemd=False)[1:] == ["-m", "lab.light.supervisor", "x", found.group]
    assert found.record.parent == lab.state
    others = [find_lab(name, {"LAB_STATE": "/s"}) for name in ("x", "x-light", "light")]
    hosts = [supervision.of_host(host) for other in others for host in other.hosts(3)]
    fleets = [supervision.of_light_hosts(other) for other in others if other.name != "x"]
    assert found.group not in {other.group for other in [*hosts, *fleets]}
    assert found.unit not in {other.unit for other in [*hosts, *fleets]}
