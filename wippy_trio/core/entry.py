"""The registry entry: a frozen value, raw until its kind decodes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from wippy_trio.core.errors import SourcePosition
from wippy_trio.core.ids import EntryId

__all__ = ["Entry"]

Value = Any  # JSON-like: None, bool, int, float, str, bytes, list, dict with str keys


@attrs.frozen(slots=True)
class Entry:
    """Id, kind, meta and data of one registry entry.

    `meta` and `data` are JSON-like mappings and never changed in place: a change makes a new entry.
    `position` tells where it was declared (None for entries made at run time).
    """

    id: EntryId
    kind: str
    meta: Mapping[str, Value] = attrs.field(factory=dict)
    data: Mapping[str, Value] = attrs.field(factory=dict)
    position: SourcePosition | None = attrs.field(default=None, eq=False, repr=False)
