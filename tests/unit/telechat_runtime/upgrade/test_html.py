# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any, Dict, List, Optional, Sequence, Tuple
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.upgrade.history import history_of
from telechat_runtime.upgrade.html import render_page
from telechat_runtime.upgrade.report import make_report

Event = Dict[str, Any]

OLD = {"driver": "24.1.rc2", "firmware": "7.3.0.1.231"}
NEW = {"driver": "24.1.0", "firmware": "7.5.0.3.220"}
STATES = ("draining", "upgrading", "rebooting", "validating")
VOID = ("meta",)
HOSTILE = "<script>alert(1)</script>\"'&amp;"
START = datetime(2026, 3, 14, 9, tzinfo=timezone.utc)


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(seconds: float, name: str, **values: Any) -> Event:
    return {"at": at(seconds), "event": name, **values}


def controller(seconds: float = 0, operator: str = "ops@control") -> Event:
    return event(seconds, "controller", campaign="24.1.0-1", release="24.1.0", operator=operator)


def plan(hosts: Sequence[str], *, allowed: int = 1, out: Sequence[str] = (), **other: Tuple[str, str]) -> Event:
    """A plan for these hosts; `other` are more, with their outcome and reason."""
    outcomes = {**dict.fromkeys(hosts, ("planned", "")), **other}
    return event(
        1,
        "plan",
        limits={"hosts": len(outcomes), "allowed_unavailable": allowed, "max_failures": 0, "batch": 1},
        hosts={
            host: {"outcome": outcome, "reason": reason, "before": OLD, "in_service": True}
            for host, (outcome, reason) in outcomes.items()
        },
        out=list(out),
    )


def wave(seconds: float, number: int, *hosts: str) -> Event:
    return event(seconds, "wave", number=number, kind="canary" if number == 1 else "batch", hosts=list(hosts))


def begun(host: str, start: float, *lengths: float) -> List[Event]:
    """A host that leaves service and goes through its states, each with how long it takes but the last."""
    events = [event(start, "out", host=host)]
    for number, state in enumerate(STATES[: len(lengths) + 1]):
        events.append(event(start + sum(lengths[:number]), "state", host=host, state=state))
    return events


def done(host: str, start: float, *lengths: float) -> List[Event]:
    end = start + sum(lengths)
    return [
        *begun(host, start, *lengths[:3]),
        event(end, "state", host=host, state="done"),
        event(end, "outcome", host=host, outcome="done", reason="", after=NEW),
        event(end, "back", host=host),
    ]


def page_of(*events: Event) -> str:
    return render_page(make_report(history_of(events)))


def usual() -> List[Event]:
    """Two hosts one after the other, ten minutes each, with one allowed out of service."""
    return [
        controller(),
        plan(["node0", "node1"]),
        wave(2, 1, "node0"),
        *done("node0", 3, 60, 300, 180, 60),
        wave(604, 2, "node1"),
        *done("node1", 605, 60, 300, 180, 60),
        event(1210, "end"),
    ]


class Page(HTMLParser):
    """A page as it is read, which has to be well-formed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: List[Tuple[str, Dict[str, Optional[str]]]] = []
        self.lines: List[str] = []
        self.rows: Dict[str, List[List[str]]] = {}
        self._open: List[str] = []
        self._heading = ""
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.setdefault(self._heading, []).append([])
        if tag in {"td", "th"}:
            self.rows[self._heading][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inner = self._open[-1] if self._open else ""
        if inner in {"td", "th"}:
            self.rows[self._heading][-1][-1] += data
        if inner == "h2":
            self._heading = data
        if inner not in {"style", ""}:
            self.lines.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def classes(self) -> List[Optional[str]]:
        return [attributes["class"] for _, attributes in self.elements if "class" in attributes]


def drawings(page: str) -> List[ET.Element]:
    svgs = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(svgs) == page.count("<svg")
    return [ET.fromstring(svg) for svg in svgs]  # noqa: S314 - it was made here


def of_class(page: str, name: str) -> List[ET.Element]:
    return [element for svg in drawings(page) for element in svg.iter() if element.get("class") == name]


def number(element: ET.Element, name: str) -> float:
    return float(element.attrib[name])


def span(bar: ET.Element) -> Tuple[float, float]:
    return number(bar, "x"), number(bar, "x") + number(bar, "width")


def host_names(page: str) -> List[str]:
    """The hosts of the time line, below the numbers of the first drawing."""
    return [label.text or "" for label in of_class(page, "name") if not (label.text or "").isdigit()]


def test_the_head_says_what_when_and_how_it_ended() -> None:
    text = Page(page_of(*usual())).text
    assert "Upgrade to 24.1.0" in text
    assert "campaign\n24.1.0-1" in text
    assert "state\nfinished" in text
    assert "time (UTC)\n2026-03-14 09:00:00 to 2026-03-14 09:20:10, 20 min 10 s" in text
    assert "control side\nstarted once, by ops@control" in text
    assert "limits\nat most 1 of 2 hosts out of service" in text


def test_why_it_stopped_is_told() -> None:
    page = Page(
        page_of(*usual()[:-1], event(1210, "end", because="2 hosts failed (node0, node1), and 0 are tolerated"))
    )
    assert "stopped: 2 hosts failed (node0, node1), and 0 are tolerated" in page.lines


def test_a_control_side_that_was_started_again_is_told() -> None:
    page = Page(page_of(*usual(), controller(1300, "night@control"), controller(1400)))
    assert "started 3 times, by ops@control, night@control" in page.lines


def test_text_from_outside_is_text_everywhere() -> None:
    host = f"node0{HOSTILE}"
    versions = {"driver": HOSTILE, "firmware": HOSTILE}
    page = Page(
        page_of(
            event(0, "controller", campaign=HOSTILE, release=HOSTILE, operator=HOSTILE),
            plan([host], **{f"refused{HOSTILE}": ("refused", HOSTILE)}),
            event(2, "wave", number=1, kind=HOSTILE, hosts=[host]),
            *begun(host, 3, 60, 60),
            event(200, "state", host=host, state=HOSTILE),
            event(201, "outcome", host=host, outcome="failed", reason=HOSTILE, logs=HOSTILE, after=versions),
            event(202, "job", job_id=HOSTILE, what=HOSTILE),
            event(203, "end", because=HOSTILE),
        )
    )
    assert "script" not in {tag for tag, _ in page.elements}
    assert page.rows["Failures"][1] == [host, "1", "failed", HOSTILE, HOSTILE]
    assert page.rows["Left alone"][1] == [f"refused{HOSTILE}", "refused", HOSTILE]
    assert page.rows["Jobs"][1][:2] == [HOSTILE, HOSTILE]
    assert page.rows["Versions"][-1][:2] == [HOSTILE, HOSTILE]
    assert f"Upgrade to {HOSTILE}" in page.lines
    assert f"stopped: {HOSTILE}" in page.lines
    assert any(line.startswith(f"{host}: draining") for line in page.lines)
    assert not any("alert" in str(value) for _, attributes in page.elements for value in attributes.values())


def test_characters_that_no_document_may_hold_are_replaced() -> None:
    text = page_of(controller(), plan([], **{"node0\x1b[1m": ("refused", "bytes \udcff\x00\x08 \ufffe")}))
    assert text.encode("utf-8")
    assert Page(text).rows["Left alone"][1] == ["node0\ufffd[1m", "refused", "bytes \ufffd\ufffd\ufffd \ufffd"]


def test_it_loads_nothing_and_runs_nothing() -> None:
    text = page_of(*usual())
    page = Page(text)
    policies = [values["content"] for tag, values in page.elements if values.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "image", "iframe", "object", "use", "base"}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in {"src", "href", "style", "srcset"}]
    assert not re.search(r"url\(|@import|//", text)


def test_it_says_its_language_and_encoding() -> None:
    text = page_of(*usual())
    assert text.startswith("<!DOCTYPE html>\n")
    elements = Page(text).elements
    assert elements[0] == ("html", {"lang": "en"})
    assert elements[2] == ("meta", {"charset": "utf-8"})


def test_hosts_are_counted_by_outcome() -> None:
    page = Page(page_of(*usual(), plan(["node0", "node1"], node2=("refused", "disk"), node3=("refused", "disk"))))
    assert "2\ndone\n2\nrefused\n1 of 1 allowed" in page.text


@pytest.mark.parametrize(("allowed", "word"), [(1, "exceeded"), (2, "kept"), (3, "kept")])
def test_the_limit_is_marked_as_kept_or_exceeded(allowed: int, word: str) -> None:
    page = Page(
        page_of(controller(), plan(["node0", "node1"], allowed=allowed), *begun("node0", 2), *begun("node1", 3))
    )
    assert f"2 of {allowed} allowed\nmost hosts out of service: limit {word}" in page.text
    assert [name for name in page.classes if name in {"kept", "exceeded"}] == [word]


def test_versions_are_counted_before_and_after() -> None:
    events = [
        *usual()[:-1],
        plan(["node0", "node1", "node2"], node3=("refused", "disk"), node4=("nothing to do", "")),
        *begun("node2", 1220, 60),
        event(1300, "outcome", host="node2", outcome="failed", reason="no chip answers"),
        event(1310, "end"),
    ]
    assert Page(page_of(*events)).rows["Versions"] == [
        ["driver", "firmware", "hosts before", "hosts after"],
        ["24.1.rc2", "7.3.0.1.231", "5", "2"],
        ["24.1.0", "7.5.0.3.220", "0", "2"],
        ["not known", "not known", "0", "1"],
    ]


def test_failures_say_why_and_where_the_logs_are() -> None:
    failed = event(99, "outcome", host="node0", outcome="failed", reason="no chip answers", logs="/records/node0")
    lost = event(100, "outcome", host="node1", outcome="lost", reason="it gives no answer any more")
    events = [controller(), plan(["node0", "node1"]), wave(2, 1, "node0", "node1")]
    page = Page(page_of(*events, *begun("node0", 3, 60), *begun("node1", 3, 60), failed, lost))
    assert page.rows["Failures"] == [
        ["host", "wave", "outcome", "reason", "logs"],
        ["node0", "1", "failed", "no chip answers", "/records/node0"],
        ["node1", "1", "lost", "it gives no answer any more", "-"],
    ]


def test_refused_and_skipped_hosts_say_why() -> None:
    skipped = event(50, "outcome", host="node0", outcome="skipped", reason="job finetune-1 still ran after 40 s")
    page = Page(page_of(controller(), plan(["node0"], node1=("refused", "disk: full")), *begun("node0", 2), skipped))
    assert page.rows["Left alone"][1:] == [
        ["node0", "skipped", "job finetune-1 still ran after 40 s"],
        ["node1", "refused", "disk: full"],
    ]


def test_jobs_say_what_became_of_them() -> None:
    job = event(60, "job", job_id="finetune-1", what="stopped after a checkpoint", nodes=["node0"], waits=True)
    page = Page(page_of(*usual(), job))
    assert page.rows["Jobs"][1] == ["finetune-1", "stopped after a checkpoint", "2026-03-14 09:01:00"]


def test_every_host_has_a_row_in_the_table() -> None:
    page = Page(page_of(*usual(), plan(["node0", "node1"], node2=("refused", "disk"))))
    assert page.rows["All hosts"][1:] == [
        [
            "node0",
            "1",
            "done",
            "24.1.rc2 / 7.3.0.1.231",
            "24.1.0 / 7.5.0.3.220",
            "2026-03-14 09:00:03",
            "2026-03-14 09:10:03",
            "10 min 00 s",
        ],
        [
            "node1",
            "2",
            "done",
            "24.1.rc2 / 7.3.0.1.231",
            "24.1.0 / 7.5.0.3.220",
            "2026-03-14 09:10:05",
            "2026-03-14 09:20:05",
            "10 min 00 s",
        ],
        ["node2", "-", "refused", "24.1.rc2 / 7.3.0.1.231", "-", "-", "-", "-"],
    ]


def test_every_host_that_was_begun_with_has_a_row_in_the_time_line_of_its_wave() -> None:
    text = page_of(*usual(), plan(["node0", "node1"], node2=("refused", "disk")))
    assert host_names(text) == ["node0", "node1"]
    assert [svg.get("aria-label") for svg in drawings(text)] == ["Hosts out of service over time", "Wave 1", "Wave 2"]
    assert "Wave 1 (canary): 1 host, 2026-03-14 09:00:02 to 2026-03-14 09:10:04" in Page(text).lines


def test_a_host_that_another_run_went_on_with_is_in_its_last_wave_only() -> None:
    events = [controller(), plan(["node0", "node1"]), wave(2, 1, "node0", "node1"), *begun("node0", 3, 60)]
    text = page_of(*events, controller(300), wave(301, 2, "node0"))
    assert host_names(text) == ["node1", "node0"]


def test_a_bar_lasts_as_long_as_its_state_and_the_next_goes_on_there() -> None:
    text = page_of(*usual())
    spans = [span(of_class(text, state)[0]) for state in STATES]
    assert [end for _, end in spans[:-1]] == pytest.approx([start for start, _ in spans[1:]])
    minutes = [end - start for start, end in spans]
    assert [length / minutes[0] for length in minutes] == pytest.approx([1, 5, 3, 1], abs=0.02)
    assert span(of_class(text, "out")[0]) == pytest.approx((spans[0][0], spans[-1][1]))


def test_a_bar_tells_its_host_state_and_times_when_it_is_pointed_at() -> None:
    title = of_class(page_of(*usual()), "upgrading")[0].find("title")
    assert title is not None
    assert title.text == "node0: upgrading 09:01:03 to 09:06:03, 5 min 00 s"


def test_the_end_of_each_host_is_marked_where_it_was() -> None:
    failed = event(400, "outcome", host="node0", outcome="failed", reason="no chip answers")
    text = page_of(
        controller(), plan(["node0"]), wave(2, 1, "node0"), *begun("node0", 3, 60), failed, event(900, "end")
    )
    mark = of_class(text, "mark")[-1]
    upgraded, out = of_class(text, "upgrading")[0], of_class(text, "out")[0]
    assert mark.text == "✗ failed"
    assert number(mark, "x") - span(upgraded)[1] == pytest.approx(3)
    assert span(out)[1] > span(upgraded)[1] + 300


@pytest.mark.parametrize(
    ("outcome", "mark"), [("done", "✓"), ("lost", "? lost"), ("rolled back", "← rolled back"), ("skipped", "- skipped")]
)
def test_marks_have_words_unless_all_is_well(outcome: str, mark: str) -> None:
    ended = event(400, "outcome", host="node0", outcome=outcome, reason="")
    text = page_of(controller(), plan(["node0"]), wave(2, 1, "node0"), *begun("node0", 3, 60), ended)
    assert of_class(text, "mark")[-1].text == mark


def test_a_host_that_is_being_upgraded_goes_on_to_the_last_event() -> None:
    text = page_of(*usual()[:-4], event(1600, "job", job_id="finetune-1", what="stopped"))
    limit = of_class(text, "limit")[0]
    assert span(of_class(text, "validating")[-1])[1] == number(limit, "x2")
    assert of_class(text, "mark")[-1].text == "… in progress"
    page = Page(text)
    assert "running; last event at 2026-03-14 09:26:40" in page.lines
    assert "since 2026-03-14 09:00:00" in page.lines
    assert "Wave 2 (batch): 1 host, 2026-03-14 09:10:04 and going on" in page.lines
    assert page.rows["Versions"][0][-1] == "hosts now"


def test_the_end_of_a_host_may_be_the_last_event() -> None:
    failed = event(400, "outcome", host="node0", outcome="failed", reason="no chip answers")
    text = page_of(controller(), plan(["node0"]), wave(2, 1, "node0"), *begun("node0", 3, 60), failed)
    assert "running; last event at 2026-03-14 09:06:40" in Page(text).lines


def test_the_line_rises_and_falls_with_the_hosts_that_are_out() -> None:
    text = page_of(*usual())
    steps = re.findall(r"V([\d.]+)", of_class(text, "count")[0].attrib["d"])
    limit, zero = of_class(text, "limit")[0].attrib["y1"], steps[-1]
    assert [float(step) for step in steps] == pytest.approx([float(limit), float(zero), float(limit), float(zero)])
    assert float(zero) > float(limit)


def test_a_count_above_the_limit_is_drawn_above_it() -> None:
    text = page_of(controller(), plan(["node0", "node1"]), *begun("node0", 2), *begun("node1", 3))
    steps = re.findall(r"V([\d.]+)", of_class(text, "count")[0].attrib["d"])
    assert min(map(float, steps)) < number(of_class(text, "limit")[0], "y1")


def test_hosts_that_were_out_before_count_too() -> None:
    text = page_of(controller(), plan(["node0"], allowed=2, out=["node9"]), *begun("node0", 2))
    steps = re.findall(r"V([\d.]+)", of_class(text, "count")[0].attrib["d"])
    assert float(steps[-1]) == number(of_class(text, "limit")[0], "y1")


@pytest.mark.parametrize("seconds", [0, 0.4, 7, 90, 3600, 5 * 3600, 3 * 86400, 400 * 86400])
def test_the_time_axis_has_some_round_times(seconds: float) -> None:
    text = page_of(controller(), plan(["node0"]), *begun("node0", 2), event(max(2, seconds), "end"))
    ticks = [tick.text or "" for tick in drawings(text)[0].iter() if tick.get("class") == "tick"]
    assert 2 <= len(ticks) <= 11
    assert all(before != after for before, after in zip(ticks, ticks[1:]))
    assert all(re.fullmatch(r"\d\d:\d\d(:\d\d)?|\d{4}-\d\d-\d\d", tick) for tick in ticks)


def test_midnight_is_told_by_its_date() -> None:
    text = page_of(controller(), plan(["node0"]), *begun("node0", 2), event(20 * 3600, "end"))
    assert "2026-03-15" in [tick.text for tick in of_class(text, "tick")]


def test_a_long_name_is_shortened_and_whole_when_it_is_pointed_at() -> None:
    name = "ascend-server-0123.cluster-a.example.internal"
    label = of_class(page_of(controller(), plan([name]), *begun(name, 2)), "name")[-1]
    assert (label.text, label[0].text) == ("ascend-server-0123.c…internal", name)


def test_colours_have_words_beside_them() -> None:
    page = Page(page_of(*usual()))
    start = page.lines.index("draining")
    assert page.lines[start : start + 5] == [*STATES, "out of service"]


def test_a_campaign_of_which_nothing_is_known() -> None:
    assert Page(page_of()).text.split("\n") == [*["Upgrade that was not begun"] * 2, "state", "running"]


def test_sections_with_nothing_to_say_are_left_out() -> None:
    page = Page(page_of(*usual()))
    assert list(page.rows) == ["Versions", "All hosts"]


def test_a_campaign_that_was_killed_before_its_plan() -> None:
    text = page_of(controller())
    assert "allowed" not in Page(text).text
    assert drawings(text) == []


def test_a_host_that_was_left_between_service_and_its_first_state() -> None:
    unknown = {"outcome": "planned", "reason": "", "before": {}, "in_service": False}
    text = page_of(
        controller(),
        event(1, "plan", limits={}, hosts={"node0": unknown}, out=[]),
        wave(2, 1, "node0"),
        event(3, "out", host="node0"),
        event(5, "outcome", host="node0", outcome="lost", reason="it gives no answer any more"),
    )
    page = Page(text)
    assert page.rows["Versions"][1] == ["not known", "not known", "1", "1"]
    assert page.rows["All hosts"][1] == ["node0", "1", "lost", "-", "-", "2026-03-14 09:00:03", "-", "-"]
    assert of_class(text, "limit") == []
    assert len(of_class(text, "out")) == 1


def test_200_hosts_stay_small_and_in_rows_of_16_pixels() -> None:
    hosts = [f"ascend-server-{number:03}.cluster-a.example.internal" for number in range(200)]
    events = [controller(), plan(hosts, allowed=50)]
    for index in range(8):
        group = hosts[25 * index : 25 * (index + 1)]
        events += [wave(1000 * index + 2, index + 1, *group)]
        events += [step for host in group for step in done(host, 1000 * index + 3, 60, 300, 180, 60)]
    text = page_of(*events, event(8000, "end"))
    assert len(text.encode()) < 300_000
    assert len(host_names(text)) == 200
    tops = [number(label, "y") for label in drawings(text)[1].iter() if label.get("class") == "name"]
    assert {after - before for before, after in zip(tops, tops[1:])} == {16}


NAMES = st.sampled_from(["node0", "node1", "node2", HOSTILE, "a\x00b\ud800"])
TEXTS = st.one_of(st.text(max_size=8), st.just(HOSTILE))
VERSIONS = st.fixed_dictionaries({name: st.one_of(st.none(), TEXTS) for name in ("driver", "firmware")})
OUTCOMES = st.sampled_from(["done", "failed", "lost", "skipped", "refused", "rolled back"])
FOUND = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(["planned", "refused", "nothing to do"]),
        "reason": TEXTS,
        "before": st.one_of(st.just({}), VERSIONS),
        "in_service": st.booleans(),
    }
)
LIMITS = st.fixed_dictionaries(
    {name: st.integers(0, 5) for name in ("hosts", "allowed_unavailable", "max_failures", "batch")}
)


def some(name: str, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    # The clock of a control side may be set back, so times are in no order.
    times = st.one_of(st.floats(0, 7200), st.floats(0, 10**8)).map(at)
    return st.fixed_dictionaries({"event": st.just(name), "at": times, **values})


EVENTS = st.lists(
    st.one_of(
        some("controller", campaign=TEXTS, release=TEXTS, operator=TEXTS),
        some("plan", limits=LIMITS, hosts=st.dictionaries(NAMES, FOUND), out=st.lists(NAMES)),
        some("wave", number=st.integers(1, 3), kind=TEXTS, hosts=st.lists(NAMES, unique=True)),
        some("out", host=NAMES),
        some("state", host=NAMES, state=st.one_of(st.sampled_from(STATES), TEXTS)),
        some("outcome", host=NAMES, outcome=OUTCOMES, reason=TEXTS, after=st.one_of(st.none(), VERSIONS), logs=TEXTS),
        some("back", host=NAMES),
        some("job", job_id=TEXTS, what=TEXTS, nodes=st.lists(NAMES), waits=st.booleans()),
        some("end", because=st.one_of(st.none(), TEXTS)),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happened_the_page_is_well_formed_and_complete(events: List[Event]) -> None:
    report = make_report(history_of(events))
    text = render_page(report)
    assert text.encode("utf-8")
    assert "script" not in {tag for tag, _ in Page(text).elements}
    assert len(drawings(text)) == 0 or len(of_class(text, "count")) == 1
    assert len(Page(text).rows.get("All hosts", [0])) == len(report["hosts"]) + 1


@given(EVENTS)
def test_whatever_happened_bars_and_line_stay_within_the_plot(events: List[Event]) -> None:
    text = page_of(*events)
    for count in of_class(text, "count"):
        left, right = re.findall(r"M([\d.]+) |H([\d.]+)$", count.attrib["d"])
        heights = [float(y) for y in re.findall(r"V([-\d.]+)", count.attrib["d"])]
        assert all(18 <= y <= 98 for y in heights)
        for kind in (*STATES, "out", "band"):
            for start, end in map(span, of_class(text, kind)):
                assert float(left[0]) <= start < end <= float(right[1]) + 0.01
