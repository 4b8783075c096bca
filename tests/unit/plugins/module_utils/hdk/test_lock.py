# SPDX-License-Identifier: Apache-2.0
"""The lock file: what it may say, how it is written, what may change in it."""

from dataclasses import replace

import pytest
import yaml
from ansible.module_utils.hdk.lock import LockEntry, LockError, parse_lock, render_lock, renew_lock
from hypothesis import example, given
from hypothesis import strategies as st

NAME = "Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip"
OTHER = "Ascend-hdk-910b-npu-firmware_7.5.0.1.129.run"
GOOD = {"name": NAME, "sha256": "a" * 64, "size": 5}

names = st.from_regex(r"Ascend-hdk-[a-z0-9]{1,5}-npu_[0-9a-z.#'\" -]{1,9}_linux-aarch64\.zip", fullmatch=True)
# Also those that YAML would take for a number.
checksums = st.one_of(
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.text("0123456789", min_size=64, max_size=64),
    st.text("01", min_size=62, max_size=62).map(lambda digits: "0b" + digits),
    st.integers(1, 62).map(lambda place: "1" * place + "e" + "1" * (63 - place)),
)
urls = st.one_of(st.just(""), st.from_regex(r"https://[a-z]{1,9}\.example/[!-~]{0,20}", fullmatch=True))
entries = st.builds(LockEntry, name=names, sha256=checksums, size=st.integers(1, 2**40), url=urls)
locks = st.lists(entries, max_size=4).map(lambda found: {entry.name: entry for entry in found})


def faults(*items):
    with pytest.raises(LockError) as caught:
        parse_lock({"packages": list(items)}, "hdk.lock.yml")
    assert all(problem.rule and problem.next_step for problem in caught.value.problems)
    return [problem.value for problem in caught.value.problems]


@given(locks)
@example({NAME.replace("24", "2 #"): LockEntry(name=NAME.replace("24", "2 #"), sha256="a" * 64, size=1)})
def test_what_is_written_is_read_back(lock):
    assert parse_lock(yaml.safe_load(render_lock(lock)), "hdk.lock.yml") == lock


@given(locks, st.randoms())
def test_the_order_of_entries_makes_no_difference(lock, random):
    items = list(lock.items())
    random.shuffle(items)
    assert render_lock(dict(items)) == render_lock(lock)


def test_capital_letters_of_a_checksum_are_the_same():
    assert parse_lock({"packages": [{**GOOD, "sha256": "A" * 64}]}, "x")[NAME].sha256 == "a" * 64


@pytest.mark.parametrize("document", [None, [], {}, {"packages": None}, {"packages": {}}, "text"])
def test_a_document_without_a_list(document):
    with pytest.raises(LockError, match=r"hdk\.lock\.yml has no list packages"):
        parse_lock(document, "hdk.lock.yml")


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"sha256": "ab" * 31}, f"entry 1 has the sha256 '{'ab' * 31}' (62 characters)"),
        ({"sha256": 10**63}, f"entry 1 has the sha256 {10**63}"),
        ({"size": 0}, "entry 1 has the size 0"),
        ({"size": "5"}, "entry 1 has the size '5'"),
        ({"size": True}, "entry 1 has the size True"),
        ({"name": "../a.zip"}, "entry 1 has the name '../a.zip'"),
        ({"name": 5}, "entry 1 has the name 5"),
        ({"url": "https://me:hidden@host.example:x/a"}, "its host or port can't be read"),
        ({"url": 5}, "entry 1 has the url 5: it is no text"),
        ({"sha": "x"}, "entry 1 has sha"),
    ],
)
def test_an_entry_that_breaks_a_rule(change, value):
    (found,) = faults({**GOOD, **change})
    assert value in found
    assert "hidden" not in found


def test_the_form_of_earlier_lock_files_is_named():
    assert faults({"file": NAME, "sha256": "a" * 64}) == ["hdk.lock.yml: entry 1 has file, as earlier lock files had"]


def test_every_wrong_entry_is_named_at_once():
    assert faults("text", {"name": NAME}, {**GOOD, "size": -1}, GOOD, GOOD) == [
        "hdk.lock.yml: entry 1 is 'text'",
        "hdk.lock.yml: entry 2 lacks sha256, size",
        "hdk.lock.yml: entry 3 has the size -1",
        f"hdk.lock.yml: entry 5 is the second for {NAME}",
    ]


ENTRY = LockEntry(name=NAME, sha256="a" * 64, size=5, url="https://host.example/a.zip")
LOCK = {NAME: ENTRY}


def renew(found, expected=None, *, lock=LOCK, url_base="", replaced=False):
    return renew_lock(lock, found, expected or {}, url_base=url_base, replace=replaced)


def test_a_changed_package_is_refused_and_named_with_both_checksums():
    with pytest.raises(LockError) as caught:
        renew({NAME: ("b" * 64, 5)})
    (problem,) = caught.value.problems
    assert "b" * 64 in problem.value
    assert "a" * 64 in problem.value
    assert "ascend_hdk_lock_replace" in problem.next_step


def test_a_changed_package_is_taken_when_asked_and_keeps_its_url():
    assert renew({NAME: ("b" * 64, 6)}, replaced=True)[NAME] == replace(ENTRY, sha256="b" * 64, size=6)


def test_an_expected_checksum_decides_even_when_replacing():
    with pytest.raises(LockError, match="b" * 64):
        renew({NAME: ("b" * 64, 5)}, {NAME: "c" * 64}, replaced=True)
    assert renew({NAME: ("a" * 64, 5)}, {NAME: "A" * 64}) == LOCK


def test_an_expected_package_that_is_nowhere():
    with pytest.raises(LockError, match="neither in the folder nor in the lock file"):
        renew({}, {OTHER: "c" * 64})


def test_entries_without_a_file_stay():
    fresh = renew({OTHER: ("d" * 64, 7)}, url_base="https://mirror.example/hdk/")
    assert fresh[NAME] == ENTRY
    assert fresh[OTHER].url == f"https://mirror.example/hdk/{OTHER}"


@given(locks, st.dictionaries(names, st.tuples(checksums, st.integers(1, 9)), max_size=3))
def test_a_second_renewal_changes_nothing(lock, found):
    once = renew(found, lock=lock, url_base="https://mirror.example", replaced=True)
    assert renew(found, lock=once, url_base="https://mirror.example") == once
