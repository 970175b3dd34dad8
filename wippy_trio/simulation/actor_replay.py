"""Run one process again from its journal, without its app and without the world, and compare. Source: ours.

The same code gets the same inputs at the same places: messages, answers, random draws, and looks at the clock, so that
a slice or a CPU limit ends where it ended. What it asks for is compared with what was recorded; the first difference
ends the run. What depends on memory (its limit, the order of a table whose keys are tables) is not reproduced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from determinism.environment import seeded_environment
from determinism.journal import JournalError, Recorded, decode_journal, encode_value
from sandbox.values import as_text, pack
from sandbox.vm import OP_CANCEL, OP_EXIT, OP_HAZARD, OP_LINE, LuaMemoryError, LupaError, Vm
from wippy_trio.actors.engine import Engine
from wippy_trio.actors.recording import VERSION, fingerprint
from wippy_trio.actors.topology import result_of
from wippy_trio.app.catalogue import ALWAYS, find_module
from wippy_trio.core.errors import ConfigError
from wippy_trio.module import Mode
from wippy_trio.simulation.journal_text import STATES, event_line

__all__ = ["Difference", "ReplayedActor", "read_journal", "replay_actor"]

_HINT = "a journal is a file that a host with `record` wrote"
_HANDED = 5_000
_MEMORY = b"memory limit of the host's VM exceeded"
_HURRY_S = 1.0  # after a difference each look is so much later: the code ends at its CPU limit
_INPUTS = frozenset({"message", "event", "resolve", "feed", "close_feed", "fail", "kill"})
_OUTPUTS = frozenset({"issue", "cancel", "end"})


@attrs.frozen(slots=True)
class Difference:
    """Where a replay first did something else.

    Attributes:
        number: of the recorded event, from 0.
        recorded, replayed: what was done then, and now.
        line: the Lua line of the replay, the last known one; empty when there is none.
    """

    number: int
    recorded: str
    replayed: str
    line: str


@attrs.frozen(slots=True)
class ReplayedActor:
    """What came of a replay.

    Attributes:
        journal: that was replayed.
        difference: the first one, None for none.
        ended: (ok, result or error) as replayed; None when it had not ended.
        unable: why the journal cannot be replayed (or not to its end); empty when it can.
        note: what else should be known; empty for nothing.
        steps: that were taken.
    """

    journal: Recorded
    difference: Difference | None
    ended: tuple[bool, Any] | None
    unable: str
    note: str
    steps: int


def read_journal(data: bytes, path: str) -> Recorded:
    """A journal from the bytes of a file.

    Raises:
        ConfigError: it is none, is damaged, or is of another version.
    """
    try:
        recorded = decode_journal(data)
    except JournalError as problem:
        raise ConfigError(f"cannot read the journal {path}: {problem}", hint=_HINT) from problem
    version = recorded.header.get("version")
    if version != VERSION:
        raise ConfigError(f"{path}: a journal of version {version}; this runtime reads {VERSION}")
    return recorded


def replay_actor(journal: Recorded) -> ReplayedActor:
    """Run the recorded process alone.

    Raises:
        ConfigError: its code uses modules that this runtime does not have, or does not compile.
    """
    if journal.dropped:
        unable = f"its first {journal.dropped} events are lost: record.max_events or record.max_bytes was reached"
        return ReplayedActor(journal, None, None, unable, "", 0)
    return _Replay(journal).run()


class _Differs(Exception):
    """The replay did something else."""


class _Replay:
    """One replay: a VM with one actor, and a place in the journal."""

    def __init__(self, journal: Recorded) -> None:
        self._journal = journal
        self._head = journal.header
        self._events = journal.events
        self._at = 0
        self._id = int(self._head["actor"])
        self._looks: Sequence[float] = ()
        self._look = 0
        self._now_s = float(self._head["began_s"])
        self._draws: list[float] = []
        self._outputs: list[tuple[tuple[Any, ...], str]] = []  # what it did, and the line it did that at
        self._line = ""
        self._killed = False
        self._hazard = ""
        self._unable = ""
        self._difference: Difference | None = None
        self._ended: tuple[bool, Any] | None = None
        self._steps = 0
        self._engine = Engine(seeded_environment(), find_module, ALWAYS)
        self._modules: set[str] = set()
        memory_bytes = int(self._head["memory_bytes"])
        self._vm = Vm(self._host, self._random, memory_bytes, simulated=(), lines=True)  # so that all lines are told
        for name in ALWAYS:
            self._need(name)
        for unit in self._head["units"]:
            for name in unit["modules"].values():
                self._need(name)
        self._define()

    # the VM ----------------------------------------------------------------------------------------------------
    def _need(self, name: str) -> None:
        if name in self._modules:
            return
        module = self._engine.module(name)
        if module is None:
            raise ConfigError(f"the recorded code uses the module {name}, which this runtime does not have")
        self._modules.add(name)
        for needed in module.needs:
            self._need(needed)
        indices = self._engine.operation_indices(module)
        self._vm.add_module(name, self._engine.prelude(module), indices, always=name in ALWAYS)

    def _define(self) -> None:
        units = {unit["number"]: unit for unit in self._head["units"]}
        done: set[int] = set()

        def define(number: int) -> None:
            if number in done:
                return
            done.add(number)
            unit = units[number]
            for imported in unit["imports"].values():
                define(imported)
            source = unit["source"].encode("utf-8", "surrogateescape")
            problem = self._vm.define(number, unit["name"], source, unit["chunk"], unit["modules"], unit["imports"])
            if problem is not None:
                raise ConfigError(f"the recorded code of {unit['name']} does not compile: {problem}")

        for number in units:
            define(number)

    # what it asks for --------------------------------------------------------------------------------------------
    def _host(self, op: int, number: int = 0, *args: Any) -> object:
        del number
        try:
            if op == 0:
                return self._next_look()
            if op < 0:
                self._told(op, args)
                return None
            if self._killed or self._difference is not None:
                return 2, pack("the process has ended")
            operation = self._engine.operations[op - 1]
            immediate = operation.mode is Mode.IMMEDIATE
            if immediate:
                self._line = as_text(args[1])
            answer = self._answer(operation.name, args[:1] if immediate else args)
            return (3, args[0], op) if answer[0] == 3 else answer
        except _Differs:
            return 2, pack("the replay differs")
        except BaseException as problem:  # noqa: BLE001 - nothing may pass through Lua's C frames
            self._note(f"the replay failed: {type(problem).__name__}: {problem}")
            return 2, pack("the replay failed")

    def _told(self, op: int, args: Sequence[Any]) -> None:
        if op == OP_LINE:
            self._line = as_text(args[0])
        elif op == OP_HAZARD and not self._hazard:
            self._hazard = f"{as_text(args[0])} at {as_text(args[1])}: their order is not reproduced"

    def _next_look(self) -> float:
        if self._difference is not None:
            self._now_s += _HURRY_S
        elif self._look < len(self._looks):
            self._now_s = self._looks[self._look]
        self._look += 1
        return self._now_s

    def _random(self) -> float:
        if not self._draws and self._difference is None and self._peek() == "draw":
            self._draws = list(self._events[self._at][1])
            self._at += 1
        if self._draws:
            return self._draws.pop(0)
        if self._difference is None and not self._killed:
            self._note("draw a random number")
        return 0.5

    def _answer(self, name: str, args: Sequence[Any]) -> Sequence[Any]:
        while self._peek() in _INPUTS:  # what came during the call
            self._give()
        did = ("call", name, tuple(args))
        if self._peek() != "call" or self._draws:
            self._differs(did)
        event = self._events[self._at]
        if event[1] != name or encode_value(event[2]) != encode_value(tuple(args)):
            self._differs(did)
        self._at += 1
        answer: Sequence[Any] = event[3]
        return tuple(answer)

    def _peek(self) -> str:
        return self._events[self._at][0] if self._at < len(self._events) else ""

    def _note(self, did: str) -> None:
        """The first difference."""
        if self._difference is None:
            known = self._at < len(self._events)
            recorded = event_line(self._events[self._at]) if known else "nothing more: the journal ends here"
            self._difference = Difference(self._at, recorded, did, self._line)

    def _note_output(self) -> None:
        """The step is over: the difference is what came of it, or that nothing did."""
        if not self._outputs:
            self._fetch()
        did, line = self._outputs[0] if self._outputs else (("wait",), "")
        self._line = line or self._line
        self._note(event_line(did))

    def _differs(self, did: Sequence[Any]) -> None:
        self._note(event_line(did))
        raise _Differs

    # the run -----------------------------------------------------------------------------------------------------
    def run(self) -> ReplayedActor:
        """All events, to the first difference."""
        head = self._head
        data = bytes.fromhex(head["args"]), head["cpu_s"], head["mailbox"]
        try:
            self._vm.start(self._id, head["pid"].encode(), head["unit"], head["method"].encode(), *data, True)
            while self._at < len(self._events) and self._difference is None and not self._unable:
                self._next()
            if self._difference is None and not self._unable:
                self._fetch()
                if self._outputs:
                    self._note_output()
        except _Differs:
            pass
        except (LuaMemoryError, LupaError, MemoryError) as problem:
            self._unable = f"the VM of the replay failed: {problem}"
        notes = [self._hazard] if self._hazard else []
        if fingerprint(self._engine, self._modules_of_units()) != head["runtime"]:
            notes.append("the runtime that recorded this was not the one that replays it")
        return ReplayedActor(self._journal, self._difference, self._ended, self._unable, "; ".join(notes), self._steps)

    def _modules_of_units(self) -> set[str]:
        return {name for unit in self._head["units"] for name in unit["modules"].values()}

    def _next(self) -> None:
        kind = self._peek()
        if kind == "step":
            self._step()
        elif kind in _OUTPUTS:
            self._compare()
        elif kind in _INPUTS:
            self._give()
        elif kind == "lost":
            self._unable = f"the host's VM failed here, which is not reproduced: {self._events[self._at][1]}"
        else:  # a call or a draw, and its step is over
            self._note_output()

    def _step(self) -> None:
        if self._outputs:
            self._note_output()
            return
        self._looks, self._look = self._events[self._at][1], 0
        self._at += 1
        self._steps += 1
        self._draws = []
        self._take(self._vm.run_one(self._id))
        self._vm.take_ready()
        if self._draws and self._difference is None:
            self._note("draw fewer random numbers")

    def _fetch(self) -> None:
        self._take(self._vm.run_one(0))

    def _take(self, result: Any) -> None:
        while result is not True and result is not False:
            for at in range(1, len(result), 5):
                op, _number, command, data, line = result[at : at + 5]
                if op > 0:
                    name = self._engine.operations[op - 1].name
                    at_line = as_text(line) if type(line) is bytes else ""
                    self._outputs.append((("issue", name, command, data), at_line))
                elif op == OP_CANCEL:
                    self._outputs.append((("cancel", command), ""))
                elif op == OP_EXIT:
                    self._outputs.append((("end", command == 1, data), ""))
            if len(result) <= _HANDED:
                return
            result = self._vm.run_one(0)

    def _compare(self) -> None:
        """An output that was recorded."""
        if not self._outputs:
            self._fetch()
        event = self._events[self._at]
        if not self._outputs or encode_value(self._outputs[0][0]) != encode_value(event):
            if event[0] == "end" and not event[1] and _MEMORY in event[2]:
                self._unable = "it ended at the memory limit of its VM, which is not reproduced"
            else:
                self._note_output()
            return
        did, line = self._outputs.pop(0)
        self._line = line or self._line
        if did[0] == "end":
            value, error = result_of(did[2], ok=bool(did[1]))
            self._ended = bool(did[1]), value if error is None else error
        self._at += 1

    def _give(self) -> None:
        """An input that was recorded."""
        kind, *fields = self._events[self._at]
        vm = self._vm
        if kind == "message":
            self._check(vm.deliver(self._id, *fields[:3]), fields[3])
        elif kind == "feed":
            self._check(vm.feed(self._id, *fields[:2]), fields[2])
        elif kind == "kill":
            self._killed = True
            vm.kill(self._id)
        else:
            call: Mapping[str, Callable[..., Any]] = {
                "event": vm.event,
                "resolve": vm.resolve,
                "close_feed": vm.close_feed,
                "fail": vm.fail,
            }
            call[kind](self._id, *fields)
        self._at += 1

    def _check(self, state: object, recorded: object) -> None:
        if state != recorded:
            self._note(f"was {STATES.get(state, state)}, recorded {STATES.get(recorded, recorded)}")
            raise _Differs
