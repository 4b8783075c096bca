# SPDX-License-Identifier: Apache-2.0

import pytest
from ansible.module_utils.hdk_record import RECORD, HdkRecord

from tests.unit.plugins.module_utils.scripted_host import BOOT_ID, ScriptedHost


@pytest.fixture
def record(tmp_path):
    return HdkRecord(ScriptedHost(tmp_path).root)


def test_nothing_recorded(record):
    assert record.read() == {}


def test_begun_and_finished(record):
    record.begin("driver", "24.1.rc3")
    assert record.read()["driver"]["finished"] is False
    record.finish("driver", "24.1.rc3", reboot_owed=False)
    assert record.read() == {
        "driver": {"version": "24.1.rc3", "boot_id": BOOT_ID, "finished": True, "reboot_owed": False}
    }


def test_components_are_kept_apart(record):
    record.finish("driver", "24.1.rc3", reboot_owed=True)
    record.begin("firmware", "7.5.0.1.129")
    assert record.read()["driver"]["finished"] is True


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_a_file_that_is_no_record_is_as_none(record, tmp_path, content):
    record.begin("driver", "24.1.rc3")
    (tmp_path / RECORD).write_text(content)
    assert record.read() == {}
    record.begin("driver", "24.1.rc3")
    assert list(record.read()) == ["driver"]


def test_everybody_may_read_it(record, tmp_path):
    record.begin("driver", "24.1.rc3")
    assert (tmp_path / RECORD).stat().st_mode & 0o777 == 0o644
    assert [path.name for path in (tmp_path / RECORD).parent.iterdir()] == ["record.json"]
