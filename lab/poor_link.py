# SPDX-License-Identifier: Apache-2.0
"""A network cable that delays frames and loses some, each way (not every kernel has tc's netem).

Runs as `python3 -m lab.poor_link NEAR FAR DELAY_MS LOSS_PERCENT IDENTITY_FILE` in the hub's network namespace: carries
frames between two interfaces (TAP) that it makes, and that end with it.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from lab.process import identify

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_LONGEST_FRAME = 1 << 16
_PERCENT = 100


@dataclass
class Lane:
    """One direction of the cable."""

    delay: float  # seconds
    loss: float  # 0 to 1
    chance: random.Random = field(default_factory=random.Random)
    _frames: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self, frame: bytes, now: float) -> None:
        """Take a frame in, or lose it."""
        if self.chance.random() >= self.loss:
            self._frames.append((now + self.delay, frame))

    def due(self, now: float) -> list[bytes]:
        """Return the frames that have arrived, in the order in which they were taken in."""
        arrived = []
        while self._frames and self._frames[0][0] <= now:
            arrived.append(self._frames.popleft()[1])
        return arrived

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next frame arrives, None when none is under way."""
        return max(0.0, self._frames[0][0] - now) if self._frames else None


def open_tap(name: str) -> int:
    """Return the file descriptor of a new TAP interface. Raises OSError where it cannot be made."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return tap


def carry(near: int, far: int, *, delay: float, loss: float) -> None:
    """Carry frames between two descriptors until killed; delay in seconds, loss from 0 to 1."""
    lanes = {near: (far, Lane(delay, loss)), far: (near, Lane(delay, loss))}
    while True:
        now = time.monotonic()
        waits = [wait for _, lane in lanes.values() if (wait := lane.wait(now)) is not None]
        ready, _, _ = select.select(list(lanes), [], [], min(waits, default=None))
        for tap in ready:
            lanes[tap][1].take(os.read(tap, _LONGEST_FRAME), time.monotonic())
        for other, lane in lanes.values():
            for frame in lane.due(time.monotonic()):
                try:
                    os.write(other, frame)
                except OSError:
                    continue  # that end is unplugged or its queue is full: a cable loses the frame


def main(near: str, far: str, delay: str, loss: str, identity_file: str) -> None:
    """Be the cable; the identity file appears once it can be plugged in."""
    taps = [open_tap(name) for name in (near, far)]
    own = identify(os.getpid())
    if own is not None:
        own.write(Path(identity_file))
    carry(*taps, delay=float(delay) / 1000, loss=float(loss) / _PERCENT)


if __name__ == "__main__":
    main(*sys.argv[1:])
