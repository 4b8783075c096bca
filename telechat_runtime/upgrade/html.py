# SPDX-License-Identifier: Apache-2.0
"""The report of a fleet upgrade as one page that needs nothing else: no scripts, no network."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

# Elements are only made here, and what makes them escapes all text; nothing is parsed.
from xml.etree import ElementTree as ET

from telechat_runtime.job.report import duration
from telechat_runtime.upgrade import history as told
from telechat_runtime.upgrade.report import moment_of
from telechat_runtime.upgrade.timeline import LEGEND, moments, time_line, utc

Report = Mapping[str, Any]
Host = Mapping[str, Any]
_Content = Union[str, ET.Element]
_Versions = Tuple[Optional[str], Optional[str]]

_LEFT_ALONE = (told.REFUSED, told.SKIPPED)
_OUTCOMES = (*told.GOOD, *told.FAILURES, *_LEFT_ALONE, told.IN_PROGRESS, told.PLANNED)
_UNTOUCHED = (*_LEFT_ALONE, told.PLANNED)
_NOTHING = "-"
# What servers print may hold what no document may: control characters, halves of surrogate pairs.
_NO_CHARACTER = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

# The colours of the bars are of Okabe and Ito's palette, light beside dark, so that grey print tells them apart too.
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --faint: #5b6470; --line: #d4d9df; --band: #eef3f8;
  --count: #0072b2; --bad: #b3400e; --good: #00704f; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ground: #15181c; --text: #e4e7eb; --faint: #a2abb6; --line: #39414b; --band: #1f2731;
    --count: #56b4e9; --bad: #ff9d66; --good: #4fd1a5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0 0 .75rem; font-size: 1.6rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.15rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; }
dd, td { overflow-wrap: anywhere; }
ul { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; padding: 0; list-style: none; }
.tiles li { padding: .5rem .9rem; border: 1px solid var(--line); border-radius: .4rem; }
.tiles strong { display: block; font-size: 1.4rem; line-height: 1.3; }
.tiles .good, .tiles .kept { border-color: var(--good); }
.tiles .failed, .tiles .exceeded { border-color: var(--bad); color: var(--bad); }
.legend { gap: .25rem 1.25rem; margin: .5rem 0; }
.legend i { display: inline-block; width: 1.4em; height: .75em; margin-right: .4em;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
table { width: 100%; border-collapse: collapse; font-size: .93em; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--faint); font-weight: 600; }
td:first-child { white-space: nowrap; }
figure { margin: 0 0 1rem; overflow-x: auto; break-inside: avoid; }
figcaption { font-weight: 600; }
tr { break-inside: avoid; }
svg { display: block; width: 100%; min-width: 44rem; font: 11px system-ui, sans-serif; fill: var(--text); }
.draining { fill: #e69f00; background: #e69f00; }
.upgrading { fill: #0072b2; background: #0072b2; }
.rebooting { fill: #56b4e9; background: #56b4e9; }
.validating { fill: #009e73; background: #009e73; }
.out { fill: #8a939e; background: #8a939e; }
.band { fill: var(--band); }
.grid { stroke: var(--line); }
.tick { text-anchor: middle; fill: var(--faint); }
.name { text-anchor: end; }
.count { fill: none; stroke: var(--count); stroke-width: 2px; }
.limit { stroke: var(--bad); stroke-width: 1.5px; stroke-dasharray: 6 4; }
@media print {
  body { padding: 0; font-size: 10px; }
  figure { overflow: visible; }
  svg { min-width: 0; } }
"""


def render_page(report: Report) -> str:
    """Return the page of a report that make_report made."""
    title = f"Upgrade to {report['release']}" if report["release"] else "Upgrade that was not begun"
    head = _element(
        "head",
        _element("meta", charset="utf-8"),
        _element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        _element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _element("title", title),
        _element("style", _STYLE),
    )
    body = _element("body", _element("h1", title), _facts(report), *_tiles(report), *_sections(report))
    page = ET.tostring(_element("html", head, body, lang="en"), encoding="unicode", method="html")
    return "<!DOCTYPE html>\n" + _NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", page) + "\n"


def _facts(report: Report) -> ET.Element:
    facts = {
        "campaign": report["campaign"],
        "state": _state(report),
        "time (UTC)": _time(report),
        "control side": _control_side(report["controllers"]),
        "limits": _limits(report["limits"]),
    }
    pairs = [(_element("dt", name), _element("dd", fact)) for name, fact in facts.items() if fact]
    return _element("dl", *(element for pair in pairs for element in pair))


def _state(report: Report) -> str:
    if report["state"] == "running":
        known = list(moments(report))
        return f"running; last event at {utc(max(known))}" if known else "running"
    return ": ".join(filter(None, [report["state"], report["stopped_because"]]))


def _time(report: Report) -> str:
    if not report["started"]:
        return ""
    start = moment_of(report["started"])
    if not report["ended"]:
        return f"since {utc(start)}"
    end = moment_of(report["ended"])
    return f"{utc(start)} to {utc(end)}, {duration(end - start)}"


def _control_side(controllers: Sequence[Mapping[str, str]]) -> str:
    if not controllers:
        return ""
    operators = ", ".join(dict.fromkeys(controller["operator"] for controller in controllers))
    times = "once" if len(controllers) == 1 else f"{len(controllers)} times"
    return f"started {times}, by {operators}"


def _limits(limits: Mapping[str, int]) -> str:
    if not limits:
        return ""
    return (
        f"at most {limits['allowed_unavailable']} of {limits['hosts']} hosts out of service;"
        f" a wave takes out at most {limits['batch']}, and {limits['max_failures']} may fail before it stops"
    )


def _tiles(report: Report) -> List[ET.Element]:
    counts = Counter(host["outcome"] for host in report["hosts"])
    tiles = [_tile(str(counts[outcome]), outcome, _tile_class(outcome)) for outcome in _OUTCOMES if counts[outcome]]
    allowed = report["limits"].get("allowed_unavailable")
    if allowed is not None:
        most = report["most_unavailable"]["count"]
        kept = "kept" if most <= allowed else "exceeded"
        tiles.append(_tile(f"{most} of {allowed} allowed", f"most hosts out of service: limit {kept}", kept))
    return [_element("ul", *tiles, class_="tiles")] if tiles else []


def _tile(number: str, words: str, class_: str) -> ET.Element:
    return _element("li", _element("strong", number), words, class_=class_)


def _tile_class(outcome: str) -> str:
    return "failed" if outcome in told.FAILURES else "good" if outcome in told.GOOD else "neutral"


def _sections(report: Report) -> List[ET.Element]:
    hosts, jobs = report["hosts"], report["jobs"]
    return [
        *_table(
            "Failures",
            ("host", "wave", "outcome", "reason", "logs"),
            [
                (host["name"], host["wave"], host["outcome"], host["reason"], host["logs"])
                for host in hosts
                if host["outcome"] in told.FAILURES
            ],
        ),
        *_table(
            "Left alone",
            ("host", "outcome", "reason"),
            [(host["name"], host["outcome"], host["reason"]) for host in hosts if host["outcome"] in _LEFT_ALONE],
        ),
        *_table("Versions", _version_columns(report), _version_rows(hosts)),
        *_time_line(report),
        *_table("Jobs", ("job", "what", "at (UTC)"), [(job["job_id"], job["what"], _at(job["at"])) for job in jobs]),
        *_table(
            "All hosts",
            ("host", "wave", "outcome", "driver / firmware before", "after", "out (UTC)", "back (UTC)", "took"),
            [_host_row(host) for host in hosts],
        ),
    ]


def _version_columns(report: Report) -> Sequence[str]:
    return ("driver", "firmware", "hosts before", "hosts now" if report["state"] == "running" else "hosts after")


def _version_rows(hosts: Sequence[Host]) -> List[Sequence[Any]]:
    before = Counter(_versions(host["before"]) for host in hosts)
    after = Counter(_versions_now(host) for host in hosts)
    pairs = dict.fromkeys([*before, *after])
    return [(*(version or "not known" for version in pair), before[pair], after[pair]) for pair in pairs]


def _versions_now(host: Host) -> _Versions:
    """Return what runs on a host after the campaign; what it left in the middle may run anything."""
    if host["after"] is None and host["outcome"] in _UNTOUCHED:
        return _versions(host["before"])
    return _versions(host["after"] or {})


def _versions(versions: Mapping[str, Optional[str]]) -> _Versions:
    return versions.get("driver"), versions.get("firmware")


def _host_row(host: Host) -> Sequence[Any]:
    before, after = (_versions_text(host[name] or {}) for name in ("before", "after"))
    took = None if host["seconds"] is None else duration(host["seconds"])
    return (host["name"], host["wave"], host["outcome"], before, after, _at(host["out"]), _at(host["back"]), took)


def _versions_text(versions: Mapping[str, Optional[str]]) -> str:
    pair = _versions(versions)
    return " / ".join(version or "?" for version in pair) if any(pair) else ""


def _time_line(report: Report) -> List[ET.Element]:
    drawings = time_line(report)
    if not drawings:
        return []
    keys = [_element("li", _element("i", class_=kind), words) for kind, words in LEGEND.items()]
    figures = [_element("figure", _element("figcaption", drawing.caption), drawing.svg) for drawing in drawings]
    return [_element("h2", "Time line (UTC)"), _element("ul", *keys, class_="legend"), *figures]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> List[ET.Element]:
    """Return a table below its heading, and nothing when it has no rows."""
    if not rows:
        return []
    head = _element("tr", *(_element("th", column, scope="col") for column in columns))
    body = [_element("tr", *(_element("td", _cell(value)) for value in row)) for row in rows]
    return [_element("h2", title), _element("table", _element("thead", head), _element("tbody", *body))]


def _cell(value: Any) -> str:
    return _NOTHING if value in (None, "") else str(value)


def _at(at: Optional[str]) -> Optional[str]:
    return utc(moment_of(at)) if at else None


def _element(tag: str, *content: _Content, **attributes: str) -> ET.Element:
    """Return an element of text and elements, in their order."""
    made = ET.Element(tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
    for part in content:
        if not isinstance(part, str):
            made.append(part)
        elif len(made):
            made[-1].tail = part
        else:
            made.text = part
    return made
