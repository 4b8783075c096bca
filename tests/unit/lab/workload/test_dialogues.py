# SPDX-License-Identifier: Apache-2.0
"""The dialogue set has TeleChat's format and enough variety."""

from __future__ import annotations

import json
import re

from lab.workload.dialogues import dialogues

HAN = re.compile("[\u4e00-\u9fff]")


def test_every_record_has_the_format_of_telechats_training_data() -> None:
    for record in dialogues():
        assert set(record) == {"system", "dialog", "multiturn", "tool"}
        assert isinstance(record["system"], str)
        assert [turn["role"] for turn in record["dialog"]] == ["user", "bot"] * (len(record["dialog"]) // 2)
        assert all(turn["content"].strip() for turn in record["dialog"])
        assert record["multiturn"] is (len(record["dialog"]) > 2)
        called = any("<tool_call>" in turn["content"] for turn in record["dialog"])
        assert record["tool"] is called


def test_the_set_holds_some_hundred_different_records_of_every_kind() -> None:
    records = dialogues()
    texts = [json.dumps(record, ensure_ascii=False) for record in records]
    assert len(set(texts)) == len(texts) >= 200
    chinese = [text for text in texts if HAN.search(text)]
    assert len(chinese) > 80
    assert len(texts) - len(chinese) > 80
    assert sum(record["multiturn"] for record in records) > 20
    assert sum(record["tool"] for record in records) >= 5


def test_templates_leave_no_slot_open() -> None:
    for record in dialogues():
        for turn in record["dialog"]:
            assert not re.search(r"\{\w+\}", turn["content"])


def test_the_set_is_the_same_every_time() -> None:
    assert dialogues() == dialogues()
