"""A life as one HTML file to look at: lanes, messages, faults, virtual time. Source: ours (docs/guides/simulation.md).

The file needs nothing from outside, and its content security policy allows nothing but its own script and style.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from determinism.trace import LOG_COUNT, TraceEvent
from wippy_trio.simulation.causes import LINKS, find_links, spans_of
from wippy_trio.simulation.shown import shown_data
from wippy_trio.simulation.world import Life

__all__ = ["timeline_data", "timeline_html"]

#: Events drawn at most; of longer lives the last ones.
MOST_EVENTS = 100_000


class _Texts:
    """Each text once; events hold its number."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {"": 0}

    def number(self, text: str) -> int:
        return self.known.setdefault(text, len(self.known))


def timeline_data(life: Life) -> dict[str, Any]:
    """What the page draws, as JSON values: columns of events, links, operations, and what the life came to.

    Args:
        life: one that was lived with `keep`.
    """
    log: Sequence[TraceEvent] = life.log[-MOST_EVENTS:]
    texts, actors, kinds = _Texts(), dict[str, int](), dict[str, int]()
    columns: dict[str, list[int]] = {"at": [], "actor": [], "what": [], "about": [], "data": []}
    for event in log:
        columns["at"].append(event.at_ns)
        columns["actor"].append(actors.setdefault(event.actor, len(actors)))
        columns["what"].append(kinds.setdefault(event.what, len(kinds)))
        columns["about"].append(texts.number(event.about))
        columns["data"].append(texts.number(shown_data(event.data)))
    failure = life.failure
    return {
        "version": 1,
        "scenario": life.spec.scenario,
        "seed": life.spec.seed,
        "strategy": "schedule" if life.spec.schedule is not None else life.spec.strategy,
        "steps": life.steps,
        "choices": life.choices,
        "virtual_s": life.virtual_s,
        "hash": life.trace_hash,
        "inconclusive": life.inconclusive,
        "faults": [f"{strike.kind} at {strike.where}" for strike in life.strikes],
        "failure": None
        if failure is None
        else {"kind": failure.kind, "message": failure.message, "stack": failure.stack},
        "first": log[0].number if log else 0,
        "left_out": len(life.log) - len(log),
        "cut_off": len(life.log) >= LOG_COUNT,
        "actors": list(actors),
        "kinds": list(kinds),
        "texts": list(texts.known),
        **columns,
        "links": [[link.source, link.target, LINKS.index(link.kind)] for link in find_links(log)],
        "link_kinds": list(LINKS),
        "spans": [list(span) for span in spans_of(log)],
    }


@functools.cache
def _asset(name: str) -> str:
    return files("wippy_trio.simulation").joinpath("page", name).read_text("utf-8")


def timeline_html(life: Life) -> str:
    """The page, whole.

    Args:
        life: one that was lived with `keep`.
    """
    script, style = _asset("timeline.js"), _asset("timeline.css")
    # Inside a script element only `</` and `<!--` mean anything to HTML; JSON may write `<` as \u003c anywhere.
    data = json.dumps(timeline_data(life), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    policy = f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; base-uri 'none'"
    page = _asset("timeline.html")
    for name, text in (
        ("TITLE", html.escape(f"{life.spec.scenario} seed {life.spec.seed}")),
        ("POLICY", policy),
        ("STYLE", style),
        ("SCRIPT", script),
        ("DATA", data),
    ):
        page = page.replace(f"@@{name}@@", text, 1)
    return page


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
