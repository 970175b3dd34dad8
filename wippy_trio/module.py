"""What a Lua module is: its name, classes, Lua half and operations. See docs/internals/extending.md.

An operation is declared once, by a decorated handler whose signature is the argument shape (decision 0005):

    MODULE = Module("store", classes={STORAGE, IO, NONDETERMINISTIC}, prelude="store.lua")

    @MODULE.waiting("store.key.get", permission=Permission("store.key.get", resource=1))
    async def get(call: Call, store: KeyValueStore, key: str) -> object: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import attrs

if TYPE_CHECKING:
    from determinism.seams import Environment
    from sandbox.values import Handle
    from wippy_trio.core.frame import Frame
    from wippy_trio.runtime import Runtime

__all__ = ["LATER", "Call", "Mode", "Module", "ModuleClass", "Operation", "Permission", "WorkflowRule"]

#: What an immediate handler returns when its operation has to be waited for after all (`Module.later`).
LATER: Final = object()

F = TypeVar("F", bound=Callable[..., Any])


class ModuleClass(StrEnum):
    """Classes of the reference; a workflow may require a module only if it is DETERMINISTIC or WORKFLOW."""

    DETERMINISTIC = "deterministic"
    NONDETERMINISTIC = "nondeterministic"
    WORKFLOW = "workflow"
    IO = "io"
    NETWORK = "network"
    STORAGE = "storage"
    SECURITY = "security"
    PROCESS = "process"
    ENCODING = "encoding"
    TIME = "time"


class WorkflowRule(StrEnum):
    """What an operation is in a workflow: computed anew, recorded in the history, or refused."""

    PURE = "pure"
    RECORDED = "recorded"
    FORBIDDEN = "forbidden"


class Mode(StrEnum):
    """How an operation answers: at once with encoded values, at once with bare scalars, or after waiting."""

    IMMEDIATE = "immediate"
    RAW = "raw"
    WAITING = "waiting"


class Call(Protocol):
    """What a handler is given first: who asks, and what it may do for them. Implemented by actors/dispatch.py."""

    @property
    def runtime(self) -> Runtime: ...
    @property
    def environment(self) -> Environment: ...
    @property
    def frame(self) -> Frame:
        """The frame of the running call or process."""

    @property
    def pid(self) -> str:
        """Text form of the running actor's PID."""

    @property
    def actor_id(self) -> int:
        """Number of the actor in its shard (for `feed` from other tasks)."""

    def handle(self, class_name: str, resource: object, close: Callable[[], object] | None = None) -> Handle:
        """Give the actor a host resource; Lua sees an object of `class_name`.

        `close` (a plain or async function) runs when the call or process ends, if the handle was not dropped before.
        """

    def drop(self, resource: object) -> None:
        """Forget a resource handed out by `handle`, without closing it; later uses raise Invalid "closed"."""

    def allowed(self, action: str, resource: str, attributes: Mapping[str, Any] | None = None) -> bool:
        """Whether the caller's policies permit it."""

    def require(self, action: str, resource: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Raises PermissionDeniedError unless `allowed`."""

    def feed_now(self, source: int, value: object) -> bool:
        """Put a value into a channel made by `sys.source`; False when it is full or gone."""

    async def feed(self, source: int, value: object) -> bool:
        """The same, waiting while the channel is full; False when it is gone."""

    def close_feed(self, source: int) -> None:
        """Close a channel made by `sys.source`; buffered values stay receivable."""

    def background(self, function: Callable[..., Any], *args: object) -> Callable[[], None]:
        """Run an async function in the actor's nursery, until it ends or the actor does; returns a canceller."""

    def after_s(self, delay_s: float, function: Callable[[], None]) -> Callable[[], None]:
        """Call a plain function after `delay_s` seconds unless the actor ends before; returns a canceller."""


@attrs.frozen(slots=True)
class Permission:
    """What must be allowed before the handler runs; checked once, in dispatch.

    Attributes:
        action: the action's name.
        resource: position of the argument that names the resource (0 = first after `call`), a fixed string, or a
            function of the arguments.
        attributes: function of the arguments that gives the attributes mapping.
        message: text of the denial with `{resource}`; default as the reference's "not allowed: ...".
    """

    action: str
    resource: int | str | Callable[..., str] = 0
    attributes: Callable[..., Mapping[str, Any]] | None = None
    message: str = ""


@attrs.frozen(slots=True)
class Operation:
    """One operation of a module; `handler(call, *args)`.

    `begin(call, command, args)` may take a waiting operation without a task of its own: it returns True when it did,
    and answers by `LuaActor.answer` when it is done. Only for what is called very often. `later` is the async half of
    an immediate operation whose handler returned `LATER`.
    """

    name: str
    mode: Mode
    handler: Callable[..., Any]
    permission: Permission | None = None
    workflow: WorkflowRule = WorkflowRule.FORBIDDEN
    begin: Callable[[Any, int, list[Any]], bool] | None = None
    later: Callable[..., Any] | None = None


class Module:
    """A Lua module (its Python half).

    Args:
        name: what `require` is given.
        classes: classes of the reference.
        prelude: file of the Lua half beside the Python file (`store.lua`); it returns the module's table.
        always: a global of every unit, without being listed.
        needs: modules whose classes this one hands out (loaded with it).
        package: package that holds `prelude`.
    """

    def __init__(
        self,
        name: str,
        *,
        classes: Iterable[ModuleClass],
        prelude: str,
        always: bool = False,
        needs: Iterable[str] = (),
        package: str = "wippy_trio.modules",
    ) -> None:
        self.name = name
        self.classes = frozenset(classes)
        self.prelude = prelude
        self.always = always
        self.needs = tuple(needs)
        self.package = package
        self.operations: dict[str, Operation] = {}

    def _declare(
        self,
        name: str,
        mode: Mode,
        permission: Permission | None,
        workflow: WorkflowRule,
        begin: Callable[[Any, int, list[Any]], bool] | None = None,
    ) -> Callable[[F], F]:
        def decorate(handler: F) -> F:
            assert name not in self.operations, name
            self.operations[name] = Operation(name, mode, handler, permission, workflow, begin)
            return handler

        return decorate

    def immediate(
        self, name: str, *, permission: Permission | None = None, workflow: WorkflowRule = WorkflowRule.PURE
    ) -> Callable[[F], F]:
        """Declare a plain function that answers at once."""
        return self._declare(name, Mode.IMMEDIATE, permission, workflow)

    def later(self, name: str) -> Callable[[F], F]:
        """Declare the async half of an immediate operation, run when its handler returns `LATER`."""

        def decorate(handler: F) -> F:
            self.operations[name] = attrs.evolve(self.operations[name], later=handler)
            return handler

        return decorate

    def raw(self, name: str, *, workflow: WorkflowRule = WorkflowRule.PURE) -> Callable[[F], F]:
        """Declare a plain function on scalars: strings arrive as bytes, results must be bytes, numbers or booleans."""
        return self._declare(name, Mode.RAW, None, workflow)

    def waiting(
        self,
        name: str,
        *,
        permission: Permission | None = None,
        workflow: WorkflowRule = WorkflowRule.FORBIDDEN,
        begin: Callable[[Any, int, list[Any]], bool] | None = None,
    ) -> Callable[[F], F]:
        """Declare an async function; the Lua task parks until it has answered."""
        return self._declare(name, Mode.WAITING, permission, workflow, begin)
