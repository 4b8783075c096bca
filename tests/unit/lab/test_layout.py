# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.layout import MAX_HOSTS, cache_root, find_lab


def test_the_name_given_wins_over_the_environment() -> None:
    assert find_lab("mine", {"LAB_NAME": "other", "LAB_STATE": "/srv/labs"}).state == Path("/srv/labs/mine")
    assert find_lab(None, {"LAB_NAME": "other"}).netns == "lab-other"
    assert find_lab(None, {}).state == Path("/var/lib/telechat-lab/telechat")


@pytest.mark.parametrize("name", ["../etc", "a b", "A", "-x", "x" * 50, "x-node0", "x/y", "a-b-c", "a\n"])
def test_a_name_that_cannot_name_folders_and_namespaces_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="lab name"):
        find_lab(name, {})


def test_white_space_in_the_state_folder_is_refused() -> None:
    with pytest.raises(LabError, match="LAB_STATE=/a b"):
        find_lab("x", {"LAB_STATE": "/a b"})


def test_every_host_has_an_address_and_a_mac_of_its_own() -> None:
    hosts = find_lab("x", {}).hosts(MAX_HOSTS)
    assert len({host.address for host in hosts}) == len({host.mac for host in hosts}) == MAX_HOSTS
    assert (hosts[0].name, hosts[0].address) == ("node0", "10.77.0.11")
    assert int(hosts[-1].address.rpartition(".")[2]) < 255


def test_no_two_labs_share_a_namespace() -> None:
    one, other = find_lab("a", {}), find_lab("a-b", {})
    assert {one.netns, *(host.netns for host in one.hosts(9))}.isdisjoint(
        {other.netns, *(host.netns for host in other.hosts(9))}
    )


def test_the_cache_stands_where_the_environment_says() -> None:
    assert cache_root({"TELECHAT_CACHE": "/c", "XDG_CACHE_HOME": "/x"}) == Path("/c")
    assert cache_root({"XDG_CACHE_HOME": "/x"}) == Path("/x/telechat-ascend")
    assert cache_root({}) == Path.home() / ".cache/telechat-ascend"
