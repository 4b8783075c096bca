# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

from telechat_runtime.interrupt import Interrupt

_HOURS = 36000.0


def test_a_wait_ends_with_the_wish_to_stop() -> None:
    interrupt = Interrupt()
    waiting = threading.Thread(target=interrupt.wait, args=(_HOURS,), daemon=True)
    waiting.start()
    interrupt.request()
    waiting.join(60)
    assert not waiting.is_alive()
