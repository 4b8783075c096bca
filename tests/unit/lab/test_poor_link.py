# SPDX-License-Identifier: Apache-2.0
"""What a poor cable does to frames; that hosts feel it is seen on hosts (tests/lab/test_hosts.py)."""

from __future__ import annotations

import random

from lab.poor_link import Lane

FRAMES = [bytes([number]) for number in range(200)]


def test_frames_arrive_after_the_delay_in_their_order() -> None:
    lane = Lane(delay=0.2, loss=0)
    for when, frame in ((10.0, b"a"), (10.1, b"b")):
        lane.take(frame, when)
    assert lane.due(10.19) == []
    assert lane.wait(10.19) is not None
    assert lane.due(10.2) == [b"a"]
    assert lane.due(11.0) == [b"b"]
    assert lane.wait(11.0) is None


def test_a_lossy_cable_loses_its_share_and_no_more() -> None:
    lane = Lane(delay=0, loss=0.1, chance=random.Random(1))  # noqa: S311 - which frames are lost is no secret
    for frame in FRAMES:
        lane.take(frame, 0.0)
    assert 0.8 * len(FRAMES) < len(lane.due(0.0)) < len(FRAMES)


def test_a_cable_that_loses_everything_delivers_nothing() -> None:
    lane = Lane(delay=0, loss=1)
    for frame in FRAMES:
        lane.take(frame, 0.0)
    assert lane.due(1.0) == []
