"""What an entry kind is: names, configuration, references, and an async context manager in which the entry lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.ids import EntryId

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime

__all__ = ["Kind", "fields_of", "relative", "stored_only"]

Open = Callable[[Entry, "Runtime"], AbstractAsyncContextManager[Any]]


@attrs.frozen(slots=True)
class Kind:
    """An entry kind.

    Attributes:
        name: as written in `kind:`.
        open: `open(entry, runtime)` gives an async context manager; inside = the entry lives. An exception on the way
            in is the rejection of the entry. Config errors must be raised before anything is started.
        references: fields (dotted paths into data, or `meta.x`) that name other entries and so give the boot order;
            a bare name is relative to the entry's namespace.
        check: validates entry data when the entry is created, before `open` (raise InvalidError).
        service: supervised (the `lifecycle` block decides when it runs) or held open.
        live_update: whether an update may be served by closing and opening again (True) or is refused.
        swap: an update opens the new version before the old one closes, so that nobody finds the entry missing; `open`
            must cope with both at once.
        guard: `guard(old, new, runtime)` is asked before an open entry gives way to `new`, or to nothing (None): raise
            InvalidError to refuse. Not asked when the app ends.
        adopt: of a service: `adopt(old, new, runtime)` lets what runs take the new version over in place and returns
            True; False where nothing runs, so that the service is made anew. Raises InvalidError to refuse.
    """

    name: str
    open: Open
    references: tuple[str, ...] = ()
    check: Callable[[Entry], None] | None = None
    service: bool = False
    live_update: bool = True
    swap: bool = False
    guard: Callable[[Entry, Entry | None, Runtime], None] | None = None
    adopt: Callable[[Entry, Entry, Runtime], bool] | None = None


@asynccontextmanager
async def stored_only(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """`open` of kinds that are only data."""
    del entry, runtime
    yield


def fields_of(entry: Entry, *, required: Iterable[str] = ()) -> Mapping[str, Any]:
    """The entry's data, after checking that `required` keys are there.

    Raises:
        InvalidError: a required key is missing or empty. Unknown keys are tolerated, as the reference does.
    """
    for key in required:
        if entry.data.get(key) in (None, ""):
            message = f"{entry.kind} {entry.id}: {key} is required"
            raise InvalidError(message)
    return entry.data


def relative(entry: Entry, text: object) -> EntryId:
    """An entry id written in `entry`: `ns:name`, or a bare name of the same namespace, or {ns, name}."""
    if isinstance(text, Mapping):
        return EntryId(str(text.get("ns") or entry.id.namespace), str(text.get("name") or ""))
    try:
        return EntryId.parse(str(text), entry.id.namespace)
    except LuaError as problem:
        message = f"{entry.kind} {entry.id}: {problem}"
        raise InvalidError(message) from problem
