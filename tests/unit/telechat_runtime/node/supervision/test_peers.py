# SPDX-License-Identifier: Apache-2.0
"""Nodes of one job that hear each other over real sockets."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from contextlib import closing, suppress
from typing import Callable, Dict, Iterator, List, Tuple

import pytest

from telechat_runtime.errors import PreflightError
from telechat_runtime.job.failure import Failure, FailureKind
from telechat_runtime.job.state import JobState
from telechat_runtime.node.supervision import peers as peers_module
from telechat_runtime.node.supervision.peers import PeerEnd, PeerGroup, Peers, peer_group
from tests.support.local_node import wait_until

NAMES = ("node0", "node1", "node2")
ON_FIRE = Failure(FailureKind.WORKER_EXIT, rank=9, exit_code=1, error="chip on fire")
SILENT = Failure(FailureKind.NODE_LOST)
Join = Callable[..., Peers]
SILENCE = 3.0
STEP = 0.5


class Clock:
    """Time as all nodes of a test see it: it goes on when the test says so, so a busy machine is no silent one."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_time(self, seconds: float, *, heard: Dict[Peers, int]) -> None:
        """Let time go by; after each step of it, each node of `heard` has to hear that rank, which is alive."""
        end = self.now + seconds
        while self.now < end:
            self.now += STEP
            wait_until(lambda: all(peers._last_sign.get(rank, self.now) == self.now for peers, rank in heard.items()))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def frequent_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "_SIGN_SECONDS", 0.02)


@pytest.fixture
def group() -> PeerGroup:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return PeerGroup(
        names=NAMES, rank=0, addr="127.0.0.1", port=port, token="t0ken", join_seconds=60, silence_seconds=15
    )


@pytest.fixture
def join(group: PeerGroup, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Join]:
    joined: List[Peers] = []

    def begin(rank: int, *, clock: Callable[[], float] = clock, **changes: object) -> Peers:
        joined.append(Peers(dataclasses.replace(group, rank=rank, **changes), clock=clock))
        return joined[-1]

    yield begin
    monkeypatch.setattr(peers_module, "_LAST_WORDS_SECONDS", 0.02)  # what is of interest has been heard
    for peers in joined:
        peers.close()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
@pytest.mark.parametrize("failing", [0, 1])
def test_who_fails_ends_all_others(join: Join, order: Tuple[int, ...], failing: int) -> None:
    peers = {rank: join(rank) for rank in order}
    peers[failing].announce(JobState.FAILED, "rank 9: chip on fire", ON_FIRE)
    others = [peers[rank] for rank in order if rank != failing]
    wait_until(lambda: all(each.end for each in others))
    expected = PeerEnd(NAMES[failing], JobState.FAILED, "rank 9: chip on fire", ON_FIRE)
    assert [each.end for each in others] == [expected, expected]
    assert expected.text == f"{NAMES[failing]} failed: rank 9: chip on fire"
    assert peers[failing].end is None


def test_the_first_end_counts(join: Join) -> None:
    peers = [join(rank) for rank in range(3)]
    peers[1].announce(JobState.FAILED, "first", ON_FIRE)
    wait_until(lambda: peers[0].end and peers[2].end)
    peers[2].announce(JobState.STOPPED, "because of the first", Failure(FailureKind.PEER, node="node1"))
    peers[0].announce(JobState.STOPPED, "because of the first", Failure(FailureKind.PEER, node="node1"))
    heard = ((peers[0], 2), (peers[2], 0))
    wait_until(lambda: all(rank not in each._last_sign for each, rank in heard))
    assert {each.end.reason for each in (peers[0], peers[2]) if each.end} == {"first"}


def test_last_words_are_heard_and_a_good_end_is_no_silence(join: Join, group: PeerGroup, clock: Clock) -> None:
    hub, spoke = join(0, silence_seconds=SILENCE), join(2, silence_seconds=SILENCE)
    leaving = Peers(dataclasses.replace(group, rank=1), clock=clock)
    leaving.announce(JobState.SUCCEEDED, "", None)
    leaving.close()
    clock.pass_time(SILENCE + 1, heard={hub: 2, spoke: 0})
    assert (hub.end, spoke.end) == (None, None)


@pytest.mark.parametrize("early", [0, 1])
def test_who_ends_before_the_others_have_come_is_heard_all_the_same(join: Join, group: PeerGroup, early: int) -> None:
    quick = Peers(dataclasses.replace(group, rank=early))
    quick.announce(JobState.FAILED, "at once", ON_FIRE)
    leaving = threading.Thread(target=quick.close)
    leaving.start()
    wait_until(lambda: quick._somebody_came)  # it waits for them
    others = [join(rank) for rank in range(3) if rank != early]
    wait_until(lambda: all(each.end for each in others))
    leaving.join()
    assert {each.end for each in others} == {PeerEnd(NAMES[early], JobState.FAILED, "at once", ON_FIRE)}


def test_who_disappears_is_lost_to_all(join: Join, group: PeerGroup, clock: Clock) -> None:
    hub, spoke = join(0, silence_seconds=SILENCE), join(2, silence_seconds=SILENCE)
    gone = Peers(dataclasses.replace(group, rank=1), clock=clock)
    wait_until(lambda: hub._last_sign[1] is not None)
    gone.close()
    clock.pass_time(SILENCE, heard={hub: 2, spoke: 0})
    assert (hub.end, spoke.end) == (None, None)
    clock.pass_time(STEP, heard={hub: 2, spoke: 0})
    wait_until(lambda: hub.end and spoke.end)
    assert (
        hub.end == spoke.end == PeerEnd("node1", JobState.LOST, f"has given no sign of life for {SILENCE:g} s", SILENT)
    )


def test_who_is_silent_for_long_can_be_asked_for_before_it_is_lost(
    join: Join, group: PeerGroup, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, _ = join(0), join(2)
    assert hub.silent() is None
    gone = Peers(dataclasses.replace(group, rank=1), clock=clock)
    wait_until(lambda: None not in hub._last_sign.values())
    assert hub.silent() is None
    gone.close()
    monkeypatch.setattr(peers_module, "_LONG_SILENCE_SECONDS", SILENCE)
    clock.pass_time(SILENCE - STEP, heard={hub: 2})
    assert hub.silent() is None
    clock.pass_time(STEP, heard={hub: 2})
    silent = hub.silent()
    assert silent
    assert (silent.node, silent.state) == ("node1", JobState.LOST)
    assert silent.reason == "has given no sign of life for 3 s"
    assert hub.end is None


def test_a_rank_0_that_disappears_is_lost(join: Join, group: PeerGroup, clock: Clock) -> None:
    hub = Peers(group, clock=clock)
    spoke = join(1, silence_seconds=SILENCE)
    wait_until(lambda: spoke._last_sign[0] is not None)
    hub.close()
    clock.pass_time(SILENCE + STEP, heard={})
    wait_until(lambda: spoke.end)
    assert spoke.end == PeerEnd("node0", JobState.LOST, f"has given no sign of life for {SILENCE:g} s", SILENT)


def test_who_was_given_up_hears_of_it_when_it_is_back(join: Join, group: PeerGroup, clock: Clock) -> None:
    hub, other = join(0, silence_seconds=SILENCE), join(2)
    gone = Peers(dataclasses.replace(group, rank=1), clock=clock)
    wait_until(lambda: hub._last_sign[1] is not None)
    gone.close()
    clock.pass_time(SILENCE + STEP, heard={hub: 2, other: 0})
    wait_until(lambda: hub.end and other.end)
    back = join(1)
    wait_until(lambda: back.end)
    assert back.end == hub.end


def test_who_never_joins_is_missed_after_its_time(join: Join, clock: Clock) -> None:
    hub, _ = join(0, join_seconds=5), join(2)
    clock.pass_time(5, heard={hub: 2})
    assert hub.end is None
    clock.pass_time(STEP, heard={hub: 2})
    wait_until(lambda: hub.end)
    assert hub.end
    assert hub.end.text == "node1 has not joined the job for 5 s"


@pytest.mark.parametrize("hello", [b'{"token": "wrong", "rank": 1}', b'{"token": "t0ken", "rank": 7}', b"GET /", b"[]"])
def test_a_stranger_is_not_listened_to(join: Join, group: PeerGroup, hello: bytes) -> None:
    hub = join(0)
    with socket.create_connection((group.addr, group.port)) as stranger:
        stranger.sendall(hello + b'\n{"rank": 1, "state": "FAILED", "reason": "a lie"}\n')
        stranger.settimeout(30)
        assert stranger.recv(1) == b""
    assert hub.end is None


def test_a_link_that_breaks_is_taken_up_again(join: Join) -> None:
    hub, spoke = join(0, names=NAMES[:2], silence_seconds=SILENCE), join(1, names=NAMES[:2])
    wait_until(lambda: 1 in hub._writers)
    hub._loop.call_soon_threadsafe(hub._writers[1].transport.abort)
    spoke.announce(JobState.FAILED, "later", ON_FIRE)
    wait_until(lambda: hub.end)


class Link:
    """A link to rank 0: what is connected through it can be cut off without a word, as by a cable that is pulled."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._cuts: List[threading.Event] = []
        self._sockets: List[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for cut in self._cuts:
            cut.set()

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                cut = threading.Event()
                self._cuts.append(cut)
                self._sockets += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target, cut), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                if not cut.is_set():
                    target.sendall(data)


def test_a_connection_that_has_fallen_silent_is_replaced_before_the_silence_counts(
    join: Join, group: PeerGroup
) -> None:
    # How long a connection may be silent is a matter of sockets, so of real time.
    two = {"names": NAMES[:2], "silence_seconds": SILENCE, "clock": time.monotonic}
    hub = join(0, **two)
    with closing(Link(group.port)) as link:
        spoke = join(1, **two, port=link.port)
        wait_until(lambda: hub._last_sign[1] is not None)
        before = hub._writers[1]
        link.cut()
        wait_until(lambda: hub._writers.get(1) not in (None, before) or hub.end)
        assert (hub.end, spoke.end) == (None, None)
        spoke.announce(JobState.FAILED, "heard all the same", ON_FIRE)
        wait_until(lambda: hub.end)


def test_a_port_that_is_taken_is_told(group: PeerGroup) -> None:
    with closing(socket.socket()) as listener:
        listener.bind((group.addr, group.port))
        listener.listen()
        with pytest.raises(PreflightError, match=f"can't be heard on 127.0.0.1:{group.port}: .*in use"):
            Peers(group)


def test_a_job_without_other_nodes_has_no_group() -> None:
    assert peer_group({"node_rank": 0, "peers": None}) is None
    assert peer_group({"node_rank": 0}) is None
