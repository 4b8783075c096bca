# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.vendor import hardware

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_from_the_factory_has_chips_that_run_an_older_firmware(tmp_path: Path) -> None:
    hardware.create(tmp_path, 8)
    document = hardware.read(tmp_path)
    assert (document["model"], document["hbm_mb"], document["pci_device"]) == ("910B2", 65536, "d802")
    assert [chip["bus"] for chip in document["chips"]][:2] == ["0000:c1:00.0", "0000:01:00.0"]
    assert {chip["firmware"]["running"] for chip in document["chips"]} == {"7.0.0.5.242"}


def test_no_two_chips_share_bus_serial_or_mac(tmp_path: Path) -> None:
    hardware.create(tmp_path, 16)
    chips = hardware.read(tmp_path)["chips"]
    for key in ("id", "bus", "serial", "mac"):
        assert len({chip[key] for chip in chips}) == 16


@pytest.mark.parametrize("chips", [0, 17, -1])
def test_a_server_without_such_a_number_of_chips_is_refused(tmp_path: Path, chips: int) -> None:
    with pytest.raises(ValueError, match=f"{chips} chips: a server has 1 to 16"):
        hardware.create(tmp_path, chips)


def test_an_unknown_model_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'910X'; known: 910A, 910B1"):
        hardware.create(tmp_path, 8, "910X")
