"""The organs of a running node: one frozen bundle of typed fields, no logic. Only `app/` builds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from wippy_trio.core.errors import LuaError, NotFoundError, UnsupportedError
from wippy_trio.core.ids import EntryId

if TYPE_CHECKING:
    from determinism.seams import Environment
    from wippy_trio.core.frame import Frame

T = TypeVar("T")

__all__ = ["Access", "EventBus", "Functions", "Log", "Resources", "Runtime"]


class Resources:
    """What open entries offer to others, by entry id: databases, stores, queues, file systems, hosts, ..."""

    def __init__(self) -> None:
        self._open: dict[EntryId, object] = {}
        #: Entries whose kind this runtime does not have yet: id -> kind.
        self.unbuilt: dict[EntryId, str] = {}

    def explain_missing(self, id: EntryId, what: str) -> LuaError:
        """The error for whoever asked for something that is not there."""
        kind = self.unbuilt.get(id)
        if kind is not None:
            return UnsupportedError(f"{id}: kind {kind} is not built in this runtime yet (docs/reference/status.md)")
        return NotFoundError(f"{what} not found: {id}")

    @contextmanager
    def offer(self, id: EntryId, resource: object) -> Iterator[None]:
        """Make `resource` available under `id` for the duration of the block."""
        assert id not in self._open, id
        self._open[id] = resource
        try:
            yield
        finally:
            del self._open[id]

    def find(self, id: EntryId, kind: type[T]) -> T | None:
        """The resource of that entry if it is open and of class `kind`."""
        resource = self._open.get(id)
        return resource if isinstance(resource, kind) else None

    def get(self, id: EntryId | str, kind: type[T], what: str = "resource") -> T:
        """The resource of that entry.

        Raises:
            NotFoundError: no such entry is open, or it offers something else.
        """
        wanted = EntryId.parse(id) if isinstance(id, str) else id
        found = self.find(wanted, kind)
        if found is None:
            raise self.explain_missing(wanted, what)
        return found

    def all(self, kind: type[T]) -> list[tuple[EntryId, T]]:
        """Every open resource of that class, in order of id."""
        return sorted((id_, item) for id_, item in self._open.items() if isinstance(item, kind))


class Access(Protocol):
    """Permission decisions (security/)."""

    @property
    def strict(self) -> bool: ...
    def allowed(self, frame: Frame, action: str, resource: str, attributes: Mapping[str, Any]) -> bool: ...


class EventBus(Protocol):
    """News for whoever subscribed (observability/bus.py). Patterns: segments split by '.', `*` one, `**` any."""

    def publish(self, system: str, kind: str, path: str, data: object = None) -> None: ...


class Log(Protocol):
    """Structured log; fields are JSON-like."""

    def debug(self, message: str, /, **fields: object) -> None: ...
    def info(self, message: str, /, **fields: object) -> None: ...
    def warn(self, message: str, /, **fields: object) -> None: ...
    def error(self, message: str, /, **fields: object) -> None: ...


class Functions(Protocol):
    """Calls of registered functions (functions/calls.py)."""

    async def call(self, id: EntryId, args: list[Any], frame: Frame, **options: Any) -> Any:
        """Call and return the function's (first) result; its error is raised as LuaError."""


@attrs.frozen(slots=True, eq=False)
class Runtime:
    """The organs. `registry`, `processes`, `metrics`, `config`, `env` are typed where they are built (app/app.py)."""

    environment: Environment
    node: str
    resources: Resources
    access: Access
    events: Any
    log: Log
    metrics: Any
    config: Any
    registry: Any
    functions: Any
    processes: Any
    engine: Any
    extras: dict[str, Any] = attrs.field(factory=dict)
