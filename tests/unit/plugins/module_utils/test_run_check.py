# SPDX-License-Identifier: Apache-2.0
import pytest
from ansible.module_utils.command_result import Result
from ansible.module_utils.npu_smi import Board, ChipStatus
from ansible.module_utils.run_check import (
    judge_chips,
    judge_mindformers,
    judge_mindspore,
    judge_runtime,
    judge_versions,
)

MINDSPORE_OK = (
    "MindSpore version:  2.4.0\nThe result of multiplication calculation is correct, "
    "MindSpore has been installed on platform [{}] successfully!\n"
)


@pytest.mark.parametrize(
    ("result", "target", "ok", "detail"),
    [
        (Result(0, MINDSPORE_OK.format("Ascend"), "[WARNING] x"), "Ascend", True, "MindSpore 2.4.0 on Ascend"),
        (Result(0, MINDSPORE_OK.format("CPU"), ""), "CPU", True, "MindSpore 2.4.0 on CPU"),
        (Result(0, MINDSPORE_OK.format("CPU"), ""), "Ascend", False, "MindSpore runs on CPU, wanted Ascend"),
        (
            Result(0, "MindSpore version: 2.4.0\nMindSpore running check failed.", ""),
            "CPU",
            False,
            "running check failed",
        ),
        (Result(1, "", "Traceback\nImportError: libhccl.so\n"), "Ascend", False, "ImportError: libhccl.so"),
        (Result(134, MINDSPORE_OK.format("Ascend"), "Aborted"), "Ascend", False, "Aborted"),
        (Result(124, "", "\nended after 900 s"), "Ascend", False, "ended after 900 s"),
        (Result(1, "", ""), "Ascend", False, "it printed nothing"),
    ],
)
def test_mindspore(result, target, ok, detail):
    check = judge_mindspore(result, target)
    assert check.ok is ok
    assert detail in check.detail


@pytest.mark.parametrize(
    ("result", "ok", "detail"),
    [
        (
            Result(0, "All checks passed, used 93 seconds, the environment is correctly set up!", ""),
            True,
            "all checks passed",
        ),
        (
            Result(0, "", "The installed software are unmatched but all checks passed in 93 seconds"),
            True,
            "does not know this",
        ),
        (Result(0, "MindSpore failed!\nThe run check failed in 3 seconds", ""), False, "MindSpore failed!"),
        (Result(0, "Predict test failed!\nThe run check failed in 3 seconds", ""), False, "Predict test failed!"),
        (Result(0, "The run check failed in 3 seconds, try other versions", ""), False, "The run check failed"),
        (Result(1, "", "RuntimeError: FlashAttentionScore"), False, "FlashAttentionScore"),
        (Result(0, "Predict test failed!\nAll checks passed", ""), False, "Predict test failed!"),
        (Result(1, "All checks passed", ""), False, "mindformers.run_check() failed"),
        (Result(0, "something new", ""), False, "came to no result: something new"),
        (Result(0, "", ""), False, "came to no result: it printed nothing"),
    ],
)
def test_mindformers_is_judged_by_its_text(result, ok, detail):
    check = judge_mindformers(result)
    assert check.ok is ok
    assert detail in check.detail


def chip(npu_id, health="OK"):
    return ChipStatus(npu_id, 0, "910B2", health, "0000:C1:00.0", 2654, 32768)


@pytest.mark.parametrize(
    ("chips", "wanted", "ok", "detail"),
    [
        ([chip(0), chip(1)], 2, True, "2 chips OK"),
        ([chip(0)], 2, False, "npu-smi shows 1 chips, ascend_npu_count is 2"),
        ([chip(0), chip(1, "Alarm")], 2, False, "NPU 1 chip 0 is Alarm"),
        ([], 1, False, "npu-smi shows 0 chips, ascend_npu_count is 1"),
    ],
)
def test_chips(chips, wanted, ok, detail):
    assert judge_chips(chips, wanted)[1:] == (ok, detail)


@pytest.mark.parametrize(
    ("board", "ok", "detail"),
    [
        (Board("24.1.rc3", "7.5.0.1.129", "OK", 1), True, "driver 24.1.RC3, firmware 7.5.0.1.129"),
        (Board("24.1.rc3", "7.5.0.1.129", None, 1), True, "driver 24.1.RC3"),
        (
            Board("23.0.3", "7.5.0.1.129", "OK", 1),
            False,
            "NPU 0 runs driver 23.0.3, installed is 24.1.RC3 (a reboot is due)",
        ),
        (Board("24.1.rc3", None, "OK", 1), False, "NPU 0 runs firmware None, installed is 7.5.0.1.129"),
        (Board("24.1.rc3", "7.5.0.1.129", "NOK", 1), False, "compatibility of driver and firmware is NOK"),
    ],
)
def test_versions(board, ok, detail):
    check = judge_versions([board], "24.1.RC3", "7.5.0.1.129")
    assert check.ok is ok
    assert detail in check.detail


def test_runtime():
    assert judge_runtime(Result(0, "telechat-run, version 0.1.0\n", ""), "/x.pyz").ok
    check = judge_runtime(Result(1, "", "SyntaxError: invalid syntax"), "/x.pyz")
    assert not check.ok
    assert check.detail == "/x.pyz does not start: SyntaxError: invalid syntax"
