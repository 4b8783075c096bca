# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab import background, process
from lab.errors import LabError

STAYS = """
import os, sys, time
from pathlib import Path
from lab.process import identify
identify(os.getpid()).write(Path(sys.argv[1]))
print(os.environ["WORD"], flush=True)
time.sleep(600)
"""


# Python warns of a child that is not waited for; this one is meant to stay.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_process_that_stays_is_found_by_its_record_once_it_is_ready(tmp_path: Path) -> None:
    record, log = tmp_path / "record.json", tmp_path / "log"
    background.start([sys.executable, "-c", STAYS, str(record)], record=record, log=log, environment={"WORD": "x"})
    assert process.alive(record)
    assert log.read_text() == "x\n"
    process.kill(record)
    assert not record.exists()


def test_one_that_ends_says_so_with_its_last_words(tmp_path: Path) -> None:
    record, log = tmp_path / "record.json", tmp_path / "log"
    with pytest.raises(LabError, match="no room for it"):
        background.start([sys.executable, "-c", "exit('no room for it')"], record=record, log=log)
