"""A timeline as a picture: plain SVG, the same text for the same timeline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from html import escape
from typing import TYPE_CHECKING

from subscription_lifecycle.machine.telling import Moment, named, told
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.calendar import local_day, start_of_day
from subscription_lifecycle.model.state import Access

if TYPE_CHECKING:
    from subscription_lifecycle.machine.timeline import Timeline

WIDTH, HEIGHT = 960, 190
LEFT, RIGHT = 16, WIDTH - 16
STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000, 12000, 120000)
MOST_LABELS, MOST_TICKS = 15, 150
SHADES = {Access.FULL: "#8fce9f", Access.REDUCED: "#f4cf6b", Access.NONE: "#d9d9d9"}
BARS = ("#2f5d8a", "#5b86b0")
MARKS = {
    "charge": '<circle cx="{x}" cy="112" r="4" fill="#2e7d32">{title}</circle>',
    "open": '<circle cx="{x}" cy="112" r="4" fill="none" stroke="#b26a00" stroke-width="2">{title}</circle>',
    "decline": '<path d="M{x} 112m-4-4l8 8m0-8l-8 8" stroke="#c62828" stroke-width="2">{title}</path>',
    "refund": '<path d="M{x} 107l5 5l-5 5l-5-5z" fill="#6a3fa0">{title}</path>',
    "command": '<path d="M{x} 30v8" stroke="#222222" stroke-width="2">{title}</path>',
    "refused": '<path d="M{x} 34m-3-3l6 6m0-6l-6 6" stroke="#c62828" stroke-width="1.5">{title}</path>',
    "notice": '<path d="M{x} 126l4 7h-8z" fill="#b26a00">{title}</path>',
}
LEGEND = (
    ("command", "asked", 142),
    ("refused", "refused", 142),
    ("charge", "charged", 64),
    ("open", "open", 64),
    ("decline", "not paid", 64),
    ("refund", "given back", 64),
    ("notice", "by itself", 47),
)
"""Each mark, what it means, and how far below its own height the legend shows it."""


def drawn(timeline: Timeline) -> str:
    """The whole picture."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
            f' width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
            f"<title>{escape(timeline.title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            f'<text x="{LEFT}" y="20" font-size="13" font-weight="bold">{escape(timeline.title)}</text>',
            *_ticks(timeline),
            *_states(timeline),
            *_access(timeline),
            *_marks(timeline),
            *_legend(),
            "</svg>\n",
        ]
    )


def _x(timeline: Timeline, at: datetime) -> float:
    part = (at - timeline.start) / (timeline.until - timeline.start)
    return LEFT + (RIGHT - LEFT) * min(max(part, 0), 1)


def _states(timeline: Timeline) -> Iterator[str]:
    for number, stretch in enumerate(timeline.states):
        left, right = _x(timeline, stretch.start), _x(timeline, stretch.end)
        title = escape(f"{stretch.value} {_span(timeline, stretch.start, stretch.end)}")
        yield (
            f'<rect class="state" x="{left:.1f}" y="42" width="{right - left:.1f}" height="26"'
            f' fill="{BARS[number % 2]}"><title>{title}</title></rect>'
        )
        if len(str(stretch.value)) * 8 < right - left:
            yield f'<text x="{left + 4:.1f}" y="59" fill="#ffffff">{escape(str(stretch.value))}</text>'


def _access(timeline: Timeline) -> Iterator[str]:
    for stretch in timeline.access:
        left, right = _x(timeline, stretch.start), _x(timeline, stretch.end)
        title = escape(f"access: {stretch.value} {_span(timeline, stretch.start, stretch.end)}")
        yield (
            f'<rect class="access" x="{left:.1f}" y="70" width="{right - left:.1f}" height="20"'
            f' fill="{SHADES[stretch.value]}"><title>{title}</title></rect>'
        )
        if right - left > 90:
            yield f'<text x="{left + 4:.1f}" y="84" fill="#333333">access: {escape(str(stretch.value))}</text>'


def _span(timeline: Timeline, start: datetime, end: datetime) -> str:
    first, last = (local_day(at, timeline.time_zone) for at in (start, end))
    return f"{first} to {last}"


def _marks(timeline: Timeline) -> Iterator[str]:
    for charge in (*timeline.charges, *timeline.refunds):
        kind = {"captured": "charge", "invoiced": "charge", "credit": "charge", "refunded": "refund"}
        kind |= {"submitted": "open", "awaiting": "open"}
        yield _mark(timeline, kind.get(charge.outcome, "decline"), charge.at, f"{charge} {charge.purpose}")
    for each in timeline.happened:
        if not isinstance(each, Moment):
            yield _mark(timeline, "refused", each.at, f"{named(each.command)}: refused. {each.error}")
        elif each.entry.by != SYSTEM and each.entry.event not in ("attempted", "awaiting"):
            yield _mark(timeline, "command", each.entry.effective_at, told(each.entry))
        elif _is_a_notice(each):
            yield _mark(timeline, "notice", each.entry.effective_at, told(each.entry))


def _is_a_notice(moment: Moment) -> bool:
    """The clock did something that moves neither state nor money."""
    entry = moment.entry
    quiet = entry.charge is None and entry.payment is None and not entry.invoice_lines and entry.billed is None
    return entry.by == SYSTEM and entry.event == "applied" and quiet and "state" not in entry.changes


def _mark(timeline: Timeline, kind: str, at: datetime, told: str) -> str:
    words = escape(f"{local_day(at, timeline.time_zone)} {told}".strip())
    return MARKS[kind].format(x=f"{_x(timeline, at):.1f}", title=f"<title>{words}</title>")


def _ticks(timeline: Timeline) -> Iterator[str]:
    """A line where a month begins, or, where they are many, every few; some of them named."""
    first, last = (local_day(at, timeline.time_zone) for at in (timeline.start, timeline.until))
    months = range(first.year * 12 + first.month, last.year * 12 + last.month)
    drawn_every = next(step for step in STEPS if len(months) // step <= MOST_TICKS)
    named_every = next(step for step in STEPS if step >= drawn_every and len(months) // step < MOST_LABELS)
    for number in months:
        if number % drawn_every:
            continue
        month = date(number // 12, number % 12 + 1, 1)
        x = _x(timeline, start_of_day(month, timeline.time_zone))
        yield f'<path class="tick" d="M{x:.1f} 42v102" stroke="#bbbbbb" stroke-width="0.5"/>'
        if number % named_every == 0:
            yield f'<text x="{x + 2:.1f}" y="150" fill="#555555">{month:%Y-%m}</text>'


def _legend() -> Iterator[str]:
    for number, (kind, words, below) in enumerate(LEGEND):
        x = LEFT + 6 + number * 84
        yield f'<g transform="translate(0 {below})">{MARKS[kind].format(x=x, title="")}</g>'
        yield f'<text x="{x + 9}" y="180" fill="#333333">{escape(words)}</text>'
    for number, (access, shade) in enumerate(SHADES.items()):
        x = LEFT + 600 + number * 112
        yield f'<rect x="{x}" y="170" width="12" height="12" fill="{shade}"/>'
        yield f'<text x="{x + 17}" y="180" fill="#333333">access: {escape(str(access))}</text>'
