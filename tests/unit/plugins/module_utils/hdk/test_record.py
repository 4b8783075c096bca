# SPDX-License-Identifier: Apache-2.0

import pytest
from ansible.module_utils.hdk import record as hdk_record
from ansible.module_utils.hdk.record import RECORD, HdkRecord

from tests.unit.plugins.module_utils.scripted_host import BOOT_ID, ScriptedHost


@pytest.fixture
def record(tmp_path):
    return HdkRecord(ScriptedHost(tmp_path).root)


@pytest.fixture
def clock(monkeypatch):
    """The time that the record is told; a test moves it on."""
    now = [1700000000.0]
    monkeypatch.setattr(hdk_record.time, "time", lambda: now[0])
    return now


def test_nothing_recorded(record):
    assert record.read() == {}
    assert record.durations() == {}
    assert record.seconds() == {}


def test_begun_and_finished(record, clock):
    record.begin("driver", "install", "24.1.rc3")
    assert record.read()["driver"]["finished"] is False
    assert record.read()["driver"]["seconds"] is None
    clock[0] += 312.4
    record.finish("driver", reboot_owed=False)
    assert record.read() == {
        "driver": {
            "action": "install",
            "version": "24.1.rc3",
            "boot_id": BOOT_ID,
            "started": 1700000000.0,
            "finished": True,
            "seconds": 312.4,
            "reboot_owed": False,
        }
    }


def test_components_are_kept_apart(record):
    record.begin("driver", "install", "24.1.rc3")
    record.finish("driver", reboot_owed=True)
    record.begin("firmware", "upgrade", "7.5.0.1.129")
    assert record.read()["driver"]["finished"] is True


def test_what_took_how_long_outlives_the_next_step(record, clock):
    for component, action, seconds in [
        ("driver", "install", 200),
        ("driver", "upgrade", 100),
        ("firmware", "upgrade", 50.2),
        ("driver", "uninstall", 30),
        ("firmware", "uninstall", 5),
    ]:
        record.begin(component, action, "1")
        clock[0] += seconds
        record.finish(component, reboot_owed=False)
    record.rebooted(421.26)
    record.begin("driver", "install", "2")
    assert record.durations()["driver install"] == 200
    assert record.seconds() == {"driver": 200, "firmware": 51, "uninstall": 30, "reboot": 422}


def test_a_clock_that_was_set_back_makes_no_negative_duration(record, clock):
    record.begin("driver", "install", "1")
    clock[0] -= 3600
    record.finish("driver", reboot_owed=False)
    assert record.seconds() == {"driver": 0}


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_a_file_that_is_no_record_is_as_none(record, tmp_path, content):
    record.begin("driver", "install", "24.1.rc3")
    (tmp_path / RECORD).write_text(content)
    assert record.read() == {}
    record.begin("driver", "install", "24.1.rc3")
    assert list(record.read()) == ["driver"]


def test_everybody_may_read_it(record, tmp_path):
    record.begin("driver", "install", "24.1.rc3")
    assert (tmp_path / RECORD).stat().st_mode & 0o777 == 0o644
    assert [path.name for path in (tmp_path / RECORD).parent.iterdir()] == ["record.json"]
