# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

# In a process of its own: who adopts orphans does so for life.
ADOPT = """
import os, subprocess, sys, time
from telechat_runtime.node.supervision import processes
assert processes.adopt_orphans()
own = subprocess.Popen(["sleep", "600"])
parent = subprocess.Popen(["sh", "-c", "sleep 0.1 & echo $!"], stdout=subprocess.PIPE, text=True)
orphan = int(parent.communicate()[0])
with open(f"/proc/{orphan}/stat") as stat:
    assert int(stat.read().rpartition(")")[2].split()[1]) == os.getpid(), "not adopted"
while os.path.exists(f"/proc/{orphan}"):
    processes.reap_orphans(own.pid)
    time.sleep(0.01)
own.kill()
os.waitid(os.P_PID, own.pid, os.WEXITED | os.WNOWAIT)
processes.reap_orphans(own.pid)
print(own.wait())
processes.reap_orphans(own.pid)
"""


def test_an_orphan_is_adopted_and_let_go_and_the_own_child_is_left_to_its_owner() -> None:
    done = subprocess.run([sys.executable, "-c", ADOPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert done.stdout == "-9\n"
