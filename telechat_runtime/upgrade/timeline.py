# SPDX-License-Identifier: Apache-2.0
"""Draws a fleet upgrade over time: how many hosts were out of service, and wave by wave a row a host."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from xml.etree import ElementTree as ET

from telechat_runtime.ascend.service_file import ACTIVE
from telechat_runtime.job.report import duration
from telechat_runtime.upgrade import history as told
from telechat_runtime.upgrade.report import moment_of

OUT = "out"
# What the bars of a row stand for: class in the style sheet → words.
LEGEND = {**{state: state for state in ACTIVE}, OUT: "out of service"}

_MARKS = {
    told.DONE: "✓",
    told.FAILED: "✗ failed",
    told.LOST: "? lost",
    told.ROLLED_BACK: "← rolled back",
    told.SKIPPED: "- skipped",
    told.REFUSED: "- refused",
    told.IN_PROGRESS: "… in progress",
}

_LEFT = 190
_RIGHT = 990
# Room for a mark beside a bar that goes on to the very end.
_WIDTH = 1080
_AXIS = 18
_ROW = 16
_BASELINE = 12
# How far below the top of its row a bar begins, and its height.
_STATE_BAR = (2, 10)
_OUT_BAR = (13, 2)
_COUNTS = 80
_GAP = 6
_NAME_HEAD = 20
_NAME_TAIL = 8

_TIME_OF_DAY = "%H:%M:%S"
_MOST_TICKS = 10
_HOUR = 3600
_DAY = 24 * _HOUR
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, _HOUR, *(hours * _HOUR for hours in (2, 3, 6, 12, 24)))


class Drawing(NamedTuple):
    """A part of the time line, with what it shows."""

    caption: str
    svg: ET.Element


@dataclass(frozen=True)
class _Scale:
    """Where a moment is from left to right; all drawings share it."""

    first: float
    last: float

    def x(self, moment: float) -> float:
        share = (min(max(moment, self.first), self.last) - self.first) / (self.last - self.first)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)

    def span(self, start: float, end: float) -> Dict[str, float]:
        """Return where something that lasts is; it can always be seen."""
        left = min(self.x(start), _RIGHT - 1)
        return {"x": left, "width": max(self.x(end) - left, 1)}

    def ticks(self) -> Tuple[int, List[int]]:
        """Return the seconds between ticks, and the round moments that lie on the scale."""
        span = self.last - self.first
        days = math.ceil(span / _MOST_TICKS / _DAY)
        step = next((step for step in _STEPS if span / step <= _MOST_TICKS), days * _DAY)
        return step, list(range(math.ceil(self.first / step) * step, math.floor(self.last) + 1, step))


class _Bar(NamedTuple):
    kind: str
    start: float
    end: float


def time_line(report: Mapping[str, Any]) -> List[Drawing]:
    """Return the drawings of a report, one below the other; none when nothing has happened to any host."""
    by_wave = _hosts_by_wave(report)
    if not by_wave:
        return []
    known = list(moments(report))
    scale = _Scale(min(known), max(*known, min(known) + 1))
    waves = {wave["number"]: wave for wave in report["waves"]}
    return [
        _out_of_service(report, scale),
        *(_wave(waves.get(number), hosts, scale) for number, hosts in by_wave.items()),
    ]


def moments(report: Mapping[str, Any]) -> Iterator[float]:
    """Return all moments at which something is known to have happened."""
    parts = [report, *report["unavailable"], *report["controllers"], *report["waves"], *report["jobs"]]
    for host in report["hosts"]:
        parts += [host, *host["states"]]
    for part in parts:
        yield from (moment_of(part[name]) for name in ("at", "started", "ended", "out", "back") if part.get(name))


def utc(moment: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Write a moment for people."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime(form)


def _hosts_by_wave(report: Mapping[str, Any]) -> Dict[Optional[int], List[Mapping[str, Any]]]:
    """Return the hosts that something happened to, by the wave that they were in last."""
    by_wave: Dict[Optional[int], List[Mapping[str, Any]]] = {}
    for host in report["hosts"]:
        if host["wave"] is not None or host["states"] or host["out"]:
            by_wave.setdefault(host["wave"], []).append(host)
    return dict(sorted(by_wave.items(), key=lambda item: (item[0] is None, item[0] or 0)))


def _out_of_service(report: Mapping[str, Any], scale: _Scale) -> Drawing:
    counts = [(moment_of(entry["at"]), int(entry["count"])) for entry in report["unavailable"]]
    allowed = report["limits"].get("allowed_unavailable")
    peak = max((count for _, count in counts), default=0)
    top = max(peak, allowed or 0, 1)

    def y(count: int) -> float:
        return round(_AXIS + _COUNTS * (1 - count / top), 1)

    svg = _canvas("Hosts out of service over time", scale, _COUNTS + _GAP)
    for count in (0, top):
        _draw(svg, "text", str(count), class_="name", x=_LEFT - _GAP, y=y(count) + 4)
    steps = "".join(f"H{scale.x(moment)}V{y(count)}" for moment, count in counts)
    _draw(svg, "path", class_="count", d=f"M{_LEFT} {y(0)}{steps}H{_RIGHT}")
    if allowed is not None:
        _draw(svg, "line", class_="limit", x1=_LEFT, x2=_RIGHT, y1=y(allowed), y2=y(allowed))
        _draw(svg, "text", f"{allowed} allowed", class_="mark", x=_RIGHT + _GAP, y=y(allowed) + 4)
    return Drawing("Hosts out of service", svg)


def _wave(wave: Optional[Mapping[str, Any]], hosts: Sequence[Mapping[str, Any]], scale: _Scale) -> Drawing:
    size = f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}"
    if wave is None:
        caption, label = f"In no wave: {size}", "Hosts in no wave"
    else:
        times = " to ".join(utc(moment_of(wave[name])) for name in ("started", "ended") if wave[name])
        caption = f"Wave {wave['number']} ({wave['kind']}): {size}, {times}{'' if wave['ended'] else ' and going on'}"
        label = f"Wave {wave['number']}"
    svg = _canvas(label, scale, _ROW * len(hosts), band=wave)
    for number, host in enumerate(hosts):
        _row(svg, host, scale, _AXIS + _ROW * number)
    return Drawing(caption, svg)


def _row(svg: ET.Element, host: Mapping[str, Any], scale: _Scale, top: float) -> None:
    _name(svg, host["name"], top + _BASELINE)
    bars = _bars(host, scale.last)
    for bar in bars:
        _draw_bar(svg, host["name"], bar, scale, top)
    mark = _MARKS.get(host["outcome"])
    if mark and bars:
        _draw(svg, "text", mark, class_="mark", x=scale.x(bars[-1].end) + _GAP / 2, y=top + _BASELINE)


def _bars(host: Mapping[str, Any], last: float) -> List[_Bar]:
    """Return a host's bars: how long it was out of service, and the states of its upgrade."""
    starts = [moment_of(state["at"]) for state in host["states"]]
    ends = [*starts[1:], moment_of(host["ended"]) if host["ended"] else last]
    bars = [
        _Bar(state["state"], start, end)
        for state, start, end in zip(host["states"], starts, ends)
        if state["state"] in ACTIVE
    ]
    if host["out"]:
        bars.insert(0, _Bar(OUT, moment_of(host["out"]), moment_of(host["back"]) if host["back"] else last))
    return bars


def _draw_bar(svg: ET.Element, name: str, bar: _Bar, scale: _Scale, top: float) -> None:
    below, height = _OUT_BAR if bar.kind == OUT else _STATE_BAR
    rect = _draw(svg, "rect", class_=bar.kind, y=top + below, height=height, **scale.span(bar.start, bar.end))
    times = f"{utc(bar.start, _TIME_OF_DAY)} to {utc(bar.end, _TIME_OF_DAY)}, {duration(bar.end - bar.start)}"
    _draw(rect, "title", f"{name}: {LEGEND[bar.kind]} {times}")


def _name(svg: ET.Element, name: str, y: float) -> None:
    is_long = len(name) > _NAME_HEAD + _NAME_TAIL
    shown = f"{name[:_NAME_HEAD]}…{name[-_NAME_TAIL:]}" if is_long else name
    text = _draw(svg, "text", shown, class_="name", x=_LEFT - _GAP, y=y)
    if is_long:
        _draw(text, "title", name)


def _canvas(label: str, scale: _Scale, height: int, band: Optional[Mapping[str, Any]] = None) -> ET.Element:
    """Return a drawing with a time axis at the top, and the time of a wave behind it."""
    bottom = _AXIS + height
    svg = ET.Element("svg", {"viewBox": f"0 0 {_WIDTH} {bottom + _GAP}", "role": "img", "aria-label": label})
    if band:
        end = moment_of(band["ended"]) if band["ended"] else scale.last
        _draw(svg, "rect", class_="band", y=_AXIS, height=height, **scale.span(moment_of(band["started"]), end))
    step, ticks = scale.ticks()
    for tick in ticks:
        _draw(svg, "line", class_="grid", x1=scale.x(tick), x2=scale.x(tick), y1=_AXIS - 4, y2=bottom)
        _draw(svg, "text", _tick_text(tick, step), class_="tick", x=scale.x(tick), y=_AXIS - _GAP)
    return svg


def _tick_text(tick: int, step: int) -> str:
    if tick % _DAY == 0:
        return utc(tick, "%Y-%m-%d")
    return utc(tick, _TIME_OF_DAY if step % 60 else "%H:%M")


def _draw(parent: ET.Element, shape: str, text: str = "", /, **attributes: Union[str, float]) -> ET.Element:
    values = {name.rstrip("_"): value if isinstance(value, str) else f"{value:g}" for name, value in attributes.items()}
    drawn = ET.SubElement(parent, shape, values)
    drawn.text = text
    return drawn
