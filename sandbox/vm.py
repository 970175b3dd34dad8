"""One Lua VM with the kernel in it. The only file that touches lupa.

A `Vm` holds many actors. It never waits, opens, logs or reads a clock by itself: everything the Lua side asks for is a
host operation given to the constructor or a command returned by `run`. Source: ours (docs/internals/kernel.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from importlib.resources import files
from typing import Any

from lupa.lua55 import LuaError as LupaError
from lupa.lua55 import LuaMemoryError, LuaRuntime

__all__ = [
    "OP_CANCEL",
    "OP_DRAIN",
    "OP_EXIT",
    "OP_SENT",
    "OP_SLOT",
    "HostFunction",
    "LuaMemoryError",
    "LupaError",
    "Vm",
]

OP_EXIT, OP_CANCEL, OP_DRAIN, OP_SLOT = -1, -2, -3, -4
#: A host operation of simulated VMs: (OP_SENT, actor, to, topic), a message went from actor to actor inside the VM.
OP_SENT = -1
#: In detail: (OP_LINE, actor, line) before an operation on plain values, (OP_HAZARD, actor, what, line).
OP_LINE, OP_HAZARD = -2, -3
_HASH_SEED = 0x57_49_50_50  # fixed: the order of `pairs` over string keys is the same in every process
DEFAULT_MEMORY_BYTES = 512 * 1024 * 1024
_FILES = (
    *("errors", "codec", "kernel", "channel", "mailbox"),
    *("numbers", "pattern", "baselib", "types", "units", "calls", "inspect", "locals"),
)

#: A host operation: (operation index, actor id, arguments...) -> (status, result...). It never raises.
HostFunction = Callable[..., object]


def _deny(_object: object, _name: object, _setting: bool) -> object:
    message = "access denied"
    raise AttributeError(message)


@lru_cache(maxsize=32)
def _prelude(name: str) -> bytes:
    return (files("sandbox") / "prelude" / f"{name}.lua").read_bytes()


#: What an earlier VM of this process compiled, by source: most of the time a VM takes to be made is compiling.
_compiled: dict[bytes, bytes] = {}
_COMPILED_COUNT = 512


def _once(source: bytes, load: Callable[[bytes], Any]) -> None:
    """Load one of our own chunks, from what was compiled before where there is that."""
    compiled = _compiled.get(source)
    made = load(source if compiled is None else compiled)
    if compiled is None and len(_compiled) < _COMPILED_COUNT:
        _compiled[source] = made


class Vm:
    """A VM of actors.

    Args:
        host: answers immediate operations. `host(0)` is the monotonic time in seconds; `host(index, actor, ...)`
            returns `(status, value...)` with status 0 (values), 1 (nil and an error) or 2 (raise).
        random: floats in [0, 1) for `math.random`.
        memory_bytes: limit of the VM's heap.
        simulated: names of the immediate operations before which another actor may go first, in a simulated world;
            None in a live node. There `take_ready` and `run_one` stand in for `run`.
        lines: tell the host, after the arguments of an immediate operation, the Lua line that it comes from; in a
            simulated world also what messages hold.
    """

    def __init__(
        self,
        host: HostFunction,
        random: Callable[[], float],
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        simulated: Iterable[str] | None = None,
        lines: bool = False,
    ) -> None:
        self._lua = LuaRuntime(
            encoding=None,
            string_hash_seed=_HASH_SEED,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_deny,
            unpack_returned_tuples=True,
            max_memory=memory_bytes,
        )
        boot = self._lua.execute(_prelude("boot"))
        kernel = self._kernel = boot(host, random)
        load = kernel[b"load_prelude"]
        for name in _FILES:
            _once(_prelude(name), partial(load, name.encode()))
        kernel[b"seal"]()
        if lines:
            kernel[b"tell_lines"]()
        if simulated is not None:
            kernel[b"simulate"](" ".join(simulated).encode(), lines)
        self.run: Callable[[], Any] = kernel[b"run"]
        self.run_one: Callable[[int], Any] = kernel[b"run_one"]
        self.take_ready: Callable[[], Any] = kernel[b"take_ready"]
        self.start: Callable[..., Any] = kernel[b"start"]
        self.open: Callable[..., Any] = kernel[b"open"]
        self.call: Callable[..., bool] = kernel[b"call"]
        self.kill: Callable[[int], bool] = kernel[b"kill"]
        self.fail: Callable[[int, bytes], bool] = kernel[b"fail"]
        self.resolve: Callable[..., Any] = kernel[b"resolve"]
        self.feed: Callable[[int, int, bytes], int] = kernel[b"feed"]
        self.close_feed: Callable[[int, int], Any] = kernel[b"close_feed"]
        self.deliver: Callable[[int, bytes, bytes, bytes], int] = kernel[b"deliver"]
        self.event: Callable[[int, bytes], int] = kernel[b"event"]
        self.upgrade: Callable[..., bool] = kernel[b"upgrade"]
        self.revoke: Callable[[int], int] = kernel[b"revoke"]
        self.calls_inside: Callable[[int], int] = kernel[b"calls_inside"]
        self.want_room: Callable[[int], bool] = kernel[b"want_room"]
        self.inspect: Callable[[int, bool], bytes | None] = kernel[b"inspect"]
        self.holds: Callable[[int], bytes | None] = kernel[b"holds"]
        self.survey: Callable[[bytes], bytes] = kernel[b"survey"]
        self._define = kernel[b"define"]
        self._drop = kernel[b"drop"]
        self._add_module = kernel[b"add_module"]

    def add_module(
        self, name: str, source: bytes, operations: Mapping[str, int] | None = None, *, always: bool = False
    ) -> None:
        """Load a module's Lua half.

        Args:
            name: what `require` is given.
            source: the Lua half.
            operations: operation name -> index given to the host function.
            always: make it a global of every unit defined from now on.

        Raises:
            LupaError: the source does not compile or fails while loading (a bug of ours).
        """
        ops = self._lua.table_from({key.encode(): index for key, index in (operations or {}).items()})
        chunk = f"module {name}".encode()
        _once(source, lambda code: self._add_module(name.encode(), code, chunk, always, ops))

    def define(
        self,
        unit: int,
        name: str,
        source: bytes,
        chunk: str,
        modules: Mapping[str, str],
        imports: Mapping[str, int],
    ) -> str | None:
        """Compile `source` (plain Lua) as unit number `unit`; returns the compiler's message when it is refused.

        `modules` maps alias -> module name, `imports` alias -> unit number.
        """
        names = self._lua.table_from({alias.encode(): module.encode() for alias, module in modules.items()})
        aliases = self._lua.table_from({alias.encode(): target for alias, target in imports.items()})
        problem = self._define(unit, name.encode(), source, chunk.encode(), names, aliases)
        return None if problem is None else problem.decode("utf-8", "replace")

    def drop(self, unit: int) -> None:
        """Forget a unit; actors that run it keep their code."""
        self._drop(unit)

    def memory_bytes(self) -> int:
        """Bytes the VM's heap holds now."""
        used = self._lua.get_memory_used()
        return int(used or 0)
