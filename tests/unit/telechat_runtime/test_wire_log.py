# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Iterator, List, Tuple

import pytest

from telechat_runtime import wire_log

Lines = List[Tuple[str, str]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    found: Lines = []
    wire_log.listen(lambda area, text: found.append((area, text)))
    yield found
    wire_log.listen(None)


def test_a_secret_is_masked_wherever_it_stands(lines: Lines) -> None:
    wire_log.hide(
        {
            "hosts": [{"ansible_password": "hunter22", "ansible_become_pass": "become-me", "ansible_user": "alice"}],
            "telechat_env": {"OBS_TOKEN": "s3cret", "STEPS": "1000", "HF_CREDENTIALS": {"key": ["inner-one"]}},
        }
    )
    wire_log.note("node", "alice %s x%sx %s %s %s", "hunter22", "s3cret", "become-me", "inner-one", "1000")
    assert lines == [("node", "alice ******** x********x ******** ******** 1000")]


def test_each_line_of_a_secret_is_one(lines: Lines) -> None:
    wire_log.hide({"SSH_PRIVATE_KEY": "BEGIN KEY\nabcdefgh\nEND KEY"})
    wire_log.note("node", "stderr: abcdefgh")
    assert lines == [("node", "stderr: ********")]


def test_a_secret_that_begins_another_one_leaves_nothing_of_it(lines: Lines) -> None:
    wire_log.hide({"A_TOKEN": "s3cret", "B_TOKEN": "s3cret-and-more"})
    wire_log.note("node", "s3cret-and-more")
    assert lines == [("node", "********")]


def test_where_a_key_lies_is_no_secret(lines: Lines) -> None:
    wire_log.hide({"ansible_ssh_private_key_file": "/home/lin/.ssh/id"})
    wire_log.note("ssh", "keys: /home/lin/.ssh/id")
    assert lines == [("ssh", "keys: /home/lin/.ssh/id")]


def test_what_is_too_short_or_empty_masks_nothing(lines: Lines) -> None:
    wire_log.hide({"A_TOKEN": "", "B_TOKEN": "1", "C_TOKEN": None})
    wire_log.note("node", "100% of 1")
    assert lines == [("node", "100% of 1")]


def test_nothing_is_kept_while_nobody_listens() -> None:
    wire_log.hide({"OBS_TOKEN": "s3cret"})
    wire_log.note("node", "s3cret")
    assert wire_log.without_secrets("s3cret") == "s3cret"
    assert not wire_log.is_on()
