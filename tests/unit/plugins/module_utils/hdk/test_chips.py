# SPDX-License-Identifier: Apache-2.0
"""What npu-smi tells of the chips, in the words of the vendor, and how often it is asked."""

from pathlib import Path

import pytest
from ansible.module_utils.command_result import Result
from ansible.module_utils.hdk import chips as hdk_chips
from ansible.module_utils.hdk.state import UNKNOWN

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

OUTPUTS = Path(__file__).parents[3] / "telechat_runtime" / "ascend" / "npu_smi_outputs"
SMI = "/usr/local/sbin/npu-smi"
HUNG = Result(124, "", "npu-smi gave no answer within 120 s")


def output(name):
    return (OUTPUTS / f"{name}.txt").read_text()


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


class Waiting:
    """Patience that takes no time, and notes the pauses."""

    def __init__(self):
        self.pauses = []
        self.now = 0

    def sleep(self, seconds):
        self.pauses.append(seconds)

    def patience(self):
        return hdk_chips.Patience(self.sleep, lambda: self.now)


def ask(host, run=None, waiting=None, *, driver_loaded=True):
    patience = (waiting or Waiting()).patience()
    return hdk_chips.running_chips(run or host.run, host.root, driver_loaded=driver_loaded, patience=patience)


def install_npu_smi(host, info, board="board_23.0.3_800t_a2", chips=8):
    host.write(SMI[1:], "")
    host.answer(f"{SMI} info", output(info))
    for npu in range(chips):
        host.answer(f"{SMI} info -t board -i {npu}", output(board))


def test_every_chip_with_what_runs_on_it(host):
    install_npu_smi(host, "info_23.0.3_910b2_idle")
    chips, error, complete, unknown = ask(host)
    assert error is None
    assert complete
    assert not unknown
    assert [chip.npu_id for chip in chips] == list(range(8))
    assert {(c.driver_version, c.firmware_version, c.health) for c in chips} == {("23.0.3", "7.1.0.5.220", "OK")}


def test_an_unhealthy_chip_is_asked_for_its_errors(host):
    install_npu_smi(host, "info_25.0.rc1.1_910b4_busy", chips=2)
    host.answer(f"{SMI} info -i 1 -c 0 -t health", output("health_alarm"))
    chips = ask(host).chips
    assert chips[0].error == ""
    assert chips[1].error.startswith("A4025021 8C03A000 8C084E00 ascend_monitor adda heart beat lost")
    assert sum("health" in command for command in host.asked) == 1


@pytest.mark.parametrize(("name", "words"), [("info_8005", "ret is -8005"), ("info_8020", "ret is -8020")])
def test_why_npu_smi_answers_for_no_chip(host, name, words):
    host.write(SMI[1:], "")
    host.answer(f"{SMI} info", output(name), rc=255)
    chips, error, _, _ = ask(host, driver_loaded=False)
    assert chips == ()
    assert error.endswith(words)


def test_npu_smi_that_dies_in_another_way(host):
    host.write(SMI[1:], "")
    host.answer(f"{SMI} info", "", rc=127, stderr="error while loading shared libraries: libdcmi.so\n")
    error = ask(host).error
    assert error == "npu-smi info ended with 127: error while loading shared libraries: libdcmi.so"


def test_no_npu_smi(host):
    assert ask(host) == hdk_chips.ChipsAnswer((), "npu-smi is not installed")


def test_a_folder_named_npu_smi_is_not_the_program(host, tmp_path):
    (tmp_path / SMI[1:]).mkdir(parents=True)
    assert hdk_chips.npu_smi_path(host.root) is None
    host.write("usr/local/bin/npu-smi", "")
    assert hdk_chips.npu_smi_path(host.root) == f"{host.root}/usr/local/bin/npu-smi"


def test_npu_smi_that_calls_the_driver_incomplete_still_lists_the_chips(host):
    install_npu_smi(host, "info_23.0.3_910b2_idle")
    warning = "[WARNING]The driver package may not be completely installed, which may cause function abnormal.\n"
    host.answer(f"{SMI} info", warning + output("info_23.0.3_910b2_idle"))
    chips, _, complete, _ = ask(host)
    assert (len(chips), complete) == (8, False)


def only(host, command, *answers):
    """Let one command give these answers, the last one for ever; return a `run` and the times it was asked."""
    asked = []

    def run(argv):
        if " ".join(argv).replace(host.root, "") != command:
            return host.run(argv)
        asked.append(command)
        return answers[min(len(asked), len(answers)) - 1]

    return run, asked


BOARD_3 = f"{SMI} info -t board -i 3"
NA = output("board_23.0.3_800t_a2").replace("23.0.3", "NA").replace("7.1.0.5.220", "NA")


@pytest.mark.parametrize(
    ("answer", "gap"),
    [
        (Result(0, NA, ""), "npu-smi info -t board -i 3 prints NA"),
        (Result(1, "dcmi busy", ""), "npu-smi info -t board -i 3 ended with 1: dcmi busy"),
        (HUNG, "npu-smi info -t board -i 3 ended with 124: npu-smi gave no answer within 120 s"),
    ],
)
def test_a_chip_whose_board_is_na_fails_or_hangs_has_unknown_versions(host, answer, gap):
    install_npu_smi(host, "info_23.0.3_910b2_idle")
    run, asked = only(host, BOARD_3, answer)
    waiting = Waiting()
    chips = ask(host, run, waiting).chips
    assert (chips[3].driver_version, chips[3].firmware_version, chips[3].gap) == (UNKNOWN, UNKNOWN, gap)
    assert {chip.driver_version for chip in chips if chip.npu_id != 3} == {"23.0.3"}
    assert (len(asked), waiting.pauses) == (3, [5, 20])
    assert sum("board" in command for command in host.asked) == 7, "chips that told their versions are not asked again"


def test_a_chip_that_answers_the_second_time_is_as_any_other(host):
    install_npu_smi(host, "info_23.0.3_910b2_idle")
    run, asked = only(host, BOARD_3, HUNG, Result(0, output("board_23.0.3_800t_a2"), ""))
    chip = ask(host, run).chips[3]
    assert (chip.driver_version, chip.gap, len(asked)) == ("23.0.3", "", 2)


def test_a_chip_that_hangs_is_not_asked_for_ever(host):
    install_npu_smi(host, "info_23.0.3_910b2_idle")
    waiting = Waiting()
    run, asked = only(host, BOARD_3, HUNG)

    def slow(argv):
        answer = run(argv)
        waiting.now += 120 if answer is HUNG else 0
        return answer

    ask(host, slow, waiting)
    assert len(asked) == 2


@pytest.mark.parametrize(("loaded", "times", "unknown"), [(True, 3, True), (False, 1, False)])
def test_npu_smi_that_hangs_is_unknown_only_under_a_loaded_driver(host, loaded, times, unknown):
    host.write(SMI[1:], "")
    run, asked = only(host, f"{SMI} info", HUNG)
    answer = ask(host, run, driver_loaded=loaded)
    assert (answer.chips, answer.unknown, len(asked)) == ((), unknown, times)
    assert answer.error == "npu-smi info ended with 124: npu-smi gave no answer within 120 s"
