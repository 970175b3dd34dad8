"""A VM with the kernel in it and a host made of plain Python functions: what the tests of the kernel run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.types import compile_source
from sandbox.values import pack, pack_list, unpack
from sandbox.vm import OP_CANCEL, OP_DRAIN, OP_EXIT, Vm
from wippy_trio.core.errors import LuaError

LOOK_S = 0.000_02
MODULE = """
local sys, K = ...
local M = { K = nil }
M.now, M.wait, M.begin, M.cancel = sys.immediate("t.now"), sys.waiting("t.wait"), sys.async("t.wait"), sys.cancel
M.source = function(capacity) return sys.source(capacity) end
M.state = function() return sys.state("t") end
M.pid = function() return sys.current().pid end
M.inbox, M.events, M.listen, M.unlisten = K.inbox, K.events, K.listen, K.unlisten
M.copy, M.encode, M.decode = sys.copy, sys.encode_message, sys.decode
M.send = function(to, topic, ...)
  local state = K.send_local(to, topic, ...)
  while state == 2 do
    if not K.wait_room(to) then return false, "full" end
    state = K.send_local(to, topic, ...)
  end
  return state == 0
end
M.progress = K.progress
M.trap = function(v) sys.current().trap_links = v end
M.traps = function() return sys.current().trap_links end
return M
"""


class Bench:
    """Actors of one VM, driven by hand. Every look at the clock lasts 20 us."""

    def __init__(self, *, cpu_s: float = 0.8, mailbox: int = 100, memory_bytes: int = 64 << 20) -> None:
        self.looks = 0
        self.cpu_s, self.mailbox = cpu_s, mailbox
        self.now: Callable[..., Any] = lambda *values: list(values)
        #: Commands that wait for an answer: (actor, command) -> arguments.
        self.waiting: dict[tuple[int, int], list[Any]] = {}
        self.cancelled: list[tuple[int, int]] = []
        self.drained: list[tuple[int, int]] = []
        #: How actors ended: (ok, value or error).
        self.ended: dict[int, tuple[bool, Any]] = {}
        self.vm = Vm(self._host, lambda: 0.5, memory_bytes)
        self.vm.add_module("t", MODULE.encode(), {"t.now": 1, "t.wait": 2})
        self._numbers = 0

    def _host(self, op: int, actor: int = 0, *args: Any) -> object:
        if op == 0:
            self.looks += 1
            return self.looks * LOOK_S
        try:
            return 0, pack_list([self.now(*unpack(args[0]))])
        except LuaError as problem:
            return 1, pack(problem)

    def unit(self, source: str, imports: dict[str, int] | None = None) -> int:
        """Compile a source; `t` is at hand."""
        self._numbers += 1
        lua = compile_source(source, f"app:u{self._numbers}").lua.encode()
        problem = self.vm.define(self._numbers, f"app:u{self._numbers}", lua, "app:main", {"t": "t"}, imports or {})
        assert problem is None, problem
        return self._numbers

    def start(self, body: str, *args: Any, imports: dict[str, int] | None = None) -> int:
        """Start an actor whose main function has that body; its PID is `{p|<number>}`."""
        unit = self.unit(f"return function(...) {body}\nend", imports)
        actor = self._number()
        self.vm.start(actor, f"{{p|{actor}}}".encode(), unit, b"main", pack_list(args), self.cpu_s, self.mailbox)
        return actor

    def open(self, body: str) -> int:
        """Open a worker."""
        unit = self.unit(body)
        actor = self._number()
        self.vm.open(actor, b"", unit, b"main", self.cpu_s, self.mailbox)
        return actor

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def turn(self) -> bool:
        """One `run`; whether more is ready."""
        result = self.vm.run()
        if not isinstance(result, tuple):
            return bool(result)
        for at in range(1, len(result), 5):
            op, actor, command, data, _ = result[at : at + 5]
            if op == OP_EXIT:
                values = unpack(data)
                self.ended[actor] = command == 1, values[0] if values else None
            elif op == OP_CANCEL:
                self.cancelled.append((actor, command))
            elif op == OP_DRAIN:
                self.drained.append((actor, command))
            else:
                self.waiting[actor, command] = unpack(data)
        return bool(result[0])

    def settle(self, limit: int = 10_000) -> None:
        """Run until nothing is ready."""
        for _ in range(limit):
            if not self.turn():
                return
        raise AssertionError("never settles")

    def run(self, body: str, *args: Any) -> Any:
        """Start, settle, and give the result; a failure is raised."""
        actor = self.start(body, *args)
        self.settle()
        ok, value = self.ended.pop(actor, (False, LuaError("it still waits")))
        if not ok:
            raise value
        return value

    def call(self, worker: int, pid: str, *args: Any) -> tuple[bool, Any]:
        """A call of a worker."""
        assert self.vm.call(worker, pid.encode(), pack_list(args))
        self.settle()
        return self.ended.pop(worker)

    def answer(self, actor: int, *values: Any, error: LuaError | None = None) -> None:
        """Answer the oldest command of an actor."""
        key = next(key for key in self.waiting if key[0] == actor)
        del self.waiting[key]
        self.vm.resolve(*key, 0 if error is None else 1, pack_list(values) if error is None else pack(error))
        self.settle()

    def deliver(self, actor: int, topic: str, *payloads: Any, source: str = "{p|0}") -> int:
        state = self.vm.deliver(actor, topic.encode(), source.encode(), pack_list(payloads))
        self.settle()
        return state

    def event(self, actor: int, kind: str, **fields: Any) -> None:
        self.vm.event(actor, pack({"kind": kind, "from": "{p|0}", **fields}))
        self.settle()
