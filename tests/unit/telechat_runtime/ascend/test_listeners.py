# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import socket
from pathlib import Path

from telechat_runtime.ascend import listeners


def test_who_listens_on_a_port_and_that_nobody_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listeners.on_port(port) == [os.getpid()]
    assert listeners.on_port(port) is None


def test_a_listener_out_of_sight(tmp_path: Path) -> None:
    (tmp_path / "proc" / "net").mkdir(parents=True)
    header = "  sl  local_address rem_address st tx_queue tr tm->when retrnsmt uid timeout inode\n"
    row = "   0: 00000000000000000000000000000000:1FB6 0:0 0A 0:0 0:0 0 0 0 4242 1\n"
    (tmp_path / "proc" / "net" / "tcp6").write_text(header + row)
    assert listeners.on_port(8118, str(tmp_path)) == []
    assert listeners.on_port(8119, str(tmp_path)) is None
