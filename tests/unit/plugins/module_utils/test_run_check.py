# SPDX-License-Identifier: Apache-2.0
import json

import pytest
from ansible.module_utils.ascend.npu_smi import Board, ChipStatus
from ansible.module_utils.command_result import Result
from ansible.module_utils.run_check import (
    REFUSE,
    WARN,
    judge_chips,
    judge_matrix,
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
    assert judge_chips(chips, wanted)[1:3] == (ok, detail)


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


def versions_answer(verdict="on", **matrix):
    """What `node versions` prints; a shell's start-up may print before it."""
    document = {
        "versions": {"driver": "23.0.3", "firmware": None, "mindspore": "2.4.0", "firmware_release": "23.0.3"},
        "runtime": {"version": "0.1.0", "sha256": None},
        "python": "3.10.2",
        "libc": None,
        "architecture": "aarch64",
        "matrix": {"verdict": verdict, "reasons": [], "costs": [], "not_seen": [], "change": [], **matrix},
    }
    return Result(0, "welcome\n" + json.dumps(document) + "\n", "")


def test_runtime():
    check = judge_runtime(versions_answer(), "/x.pyz")
    assert check.ok
    assert check.detail == "telechat-run 0.1.0 on Python 3.10.2, unknown libc, aarch64"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result(1, "", "SyntaxError: invalid syntax"), "/x.pyz gives no answer: SyntaxError: invalid syntax"),
        (Result(0, "telechat-run, version 0.0.9\n", ""), "gives no answer: telechat-run, version 0.0.9"),
        (Result(2, '{"error": {"code": 2}}\n', "Error: No such command"), "No such command"),
        (Result(0, "", ""), "it printed nothing"),
    ],
)
def test_a_runtime_that_gives_no_answer(result, words):
    check = judge_runtime(result, "/x.pyz")
    assert not check.ok
    assert words in check.detail
    assert not judge_matrix(result, WARN).ok


OLD = {"reasons": ["driver 23.0.3 is older"], "costs": ["no VMM"], "change": ["HDK 23.0.3 -> 24.1.rc3"]}
SAID = "driver 23.0.3 is older; no VMM; smallest change: HDK 23.0.3 -> 24.1.rc3"


@pytest.mark.parametrize(
    ("result", "off_matrix", "ok", "caution", "detail"),
    [
        (versions_answer(), REFUSE, True, False, "on the matrix: driver 23.0.3, mindspore 2.4.0"),
        (versions_answer("off", **OLD), WARN, True, True, f"works, not recommended: {SAID}"),
        (versions_answer("off", **OLD), REFUSE, False, True, f"works, not recommended: {SAID}"),
        (versions_answer("broken", **OLD), WARN, False, False, f"broken: {SAID}"),
        (versions_answer("unknown", not_seen=["CANN"]), REFUSE, True, True, "not judged, not seen: CANN"),
    ],
)
def test_matrix(result, off_matrix, ok, caution, detail):
    assert judge_matrix(result, off_matrix) == ("matrix", ok, detail, caution)
