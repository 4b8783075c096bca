# SPDX-License-Identifier: Apache-2.0
"""What npu-smi prints, in the shapes of several driver releases; files are named after release and chip."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.ascend import npu_smi

OUTPUTS = Path(__file__).parent / "npu_smi_outputs"


def output(name):
    return (OUTPUTS / f"{name}.txt").read_text()


def test_info_lists_all_eight_chips_of_an_idle_server():
    chips = npu_smi.parse_info(output("info_23.0.3_910b2_idle"))
    assert [chip.npu_id for chip in chips] == list(range(8))
    assert {(chip.chip_id, chip.name, chip.health) for chip in chips} == {(0, "910B2", "OK")}
    assert chips[4].bus_id == "0000:01:00.0"
    assert (chips[1].hbm_used, chips[1].hbm_total) == (2753, 65536)


def test_idle_server_has_no_processes():
    assert npu_smi.busy_chips(output("info_23.0.3_910b2_idle")) == set()


def test_full_memory_without_a_blank_before_the_slash_and_noise_before_the_table():
    chips = npu_smi.parse_info(output("info_25.0.rc1.1_910b4_busy"))
    assert [(chip.hbm_used, chip.hbm_total, chip.health) for chip in chips] == [
        (30710, 32768, "OK"),
        (2654, 32768, "Alarm"),
    ]


def test_chips_with_a_process():
    assert npu_smi.busy_chips(output("info_25.0.rc1.1_910b4_busy")) == {(0, 0)}
    assert npu_smi.busy_chips(output("info_25.2.0_910b3_in_container")) == {(4, 0)}


def test_a_chip_whose_process_cannot_be_read_is_busy_too():
    """A chip that counts as idle may be reset."""
    table = "| NPU Chip | Process id | Process name | Process memory(MB) |\n| 3 1 | NA | | |\n| No running processes |"
    assert npu_smi.busy_chips(table) == {(3, 1)}


def test_memory_that_npu_smi_does_not_know():
    (chip,) = npu_smi.parse_info(output("info_25.2.0_910b3_in_container"))
    assert (chip.npu_id, chip.hbm_used, chip.hbm_total) == (4, None, None)


def test_two_chips_an_npu_on_a3():
    chips = npu_smi.parse_info(output("info_25.2.0_a3"))
    assert [(c.npu_id, c.chip_id, c.health, c.bus_id) for c in chips] == [
        (0, 0, "OK", "0000:9D:00.0"),
        (0, 1, "Critical", "0000:9F:00.0"),
    ]


@pytest.mark.parametrize(
    ("name", "code"), [("info_8005", npu_smi.DRIVER_NOT_LOADED), ("info_8020", npu_smi.DEVICE_IN_USE)]
)
def test_errors_of_the_driver_are_told_from_a_table(name, code):
    text = output(name)
    assert npu_smi.parse_info(text) == []
    error = npu_smi.parse_error(text)
    assert error.code == code
    assert error.text == text.splitlines()[1]


def test_a_table_is_no_error():
    assert npu_smi.parse_error(output("info_25.0.rc1.1_910b4_busy")) is None


def test_board_tells_running_versions():
    assert npu_smi.parse_board(output("board_23.0.3_800t_a2")) == npu_smi.Board(
        driver_version="23.0.3", firmware_version="7.1.0.5.220", compatibility="OK", chip_count=1
    )


def test_board_without_product_lines_and_with_na():
    board = npu_smi.parse_board(output("board_910a_without_product"))
    assert (board.driver_version, board.firmware_version, board.compatibility) == ("24.1.RC3", None, "NOT OK")


def test_health_of_a_good_chip():
    assert npu_smi.parse_health(output("health_ok")) == npu_smi.ChipHealth("OK", (), "")


def test_health_joins_the_lines_of_its_information_and_keeps_colons_in_it():
    health = npu_smi.parse_health(output("health_alarm"))
    assert health.status == "Alarm"
    assert health.error_codes == ("A4025021", "8C03A000", "8C084E00")
    assert health.information == (
        "ascend_monitor adda heart beat lost error node temperature over limit: 105 C hbm multi-bit error"
    )


def test_a_missing_card_has_no_health():
    assert npu_smi.parse_health(output("health_missing_card")) is None


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 63),
            st.sampled_from(["910B1", "910B4", "Ascend910"]),
            st.sampled_from(["OK", "Warning", "Alarm", "Critical"]),
            st.integers(0, 65536),
        ),
        max_size=16,
    ),
    width=st.integers(1, 40),
)
def test_info_is_read_whatever_the_column_widths(rows, width):
    lines = ["| NPU Name | Health | Power(W) |", "| Chip | Bus-Id | HBM-Usage(MB) |"]
    for number, (npu, name, health, used) in enumerate(rows):
        bus = f"0000:{number:02X}:00.0"
        lines.append(f"| {npu}{' ' * width}{name} |{health:^{width}}| NA |")
        lines.append(f"| 0{' ' * width}| {bus} |{' ' * width}{used}/ 65536 |")
    chips = npu_smi.parse_info("\n".join(lines))
    assert [(c.npu_id, c.name, c.health, c.hbm_used) for c in chips] == [tuple(row) for row in rows]


@given(st.text())
def test_parsers_survive_any_text(text):
    npu_smi.parse_info(text)
    npu_smi.busy_chips(text)
    npu_smi.parse_board(text)
    npu_smi.parse_health(text)
    npu_smi.parse_error(text)
