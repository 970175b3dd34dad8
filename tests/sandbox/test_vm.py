"""The Python face of a VM: modules, units, memory, and what a program finds in it."""

from __future__ import annotations

import pytest

from sandbox.vm import LupaError, Vm
from tests.sandbox.kernel_base import Bench


def silent(*_: object) -> object:
    return 0.0


def test_a_unit_that_does_not_compile_says_so() -> None:
    vm = Vm(silent, lambda: 0.5)
    assert vm.define(1, "app:x", b"return (", "app:x", {}, {}) == "app:x:1: unexpected symbol near <eof>"
    assert vm.define(2, "app:y", b"\x1bLua binary", "app:y", {}, {}) is not None


def test_a_module_is_there_where_it_is_named_or_always() -> None:
    bench = Bench()
    bench.vm.add_module("everywhere", b"return { n = 1 }", always=True)
    bench.vm.add_module("named", b"local sys = ... return { n = 2 }")
    assert bench.run("return { everywhere.n, require('everywhere').n, named == nil, (pcall(require, 'named')) }") == [
        1, 1, True, False,
    ]  # fmt: skip


def test_a_module_that_fails_to_load_is_a_bug_of_ours() -> None:
    vm = Vm(silent, lambda: 0.5)
    with pytest.raises(LupaError, match="no operation named nope"):
        vm.add_module("bad", b"local sys = ... sys.immediate('nope')")
    with pytest.raises(LupaError):
        vm.add_module("worse", b"return (")


def test_the_heap_is_measured() -> None:
    vm = Vm(silent, lambda: 0.5)
    before = vm.memory_bytes()
    assert 50_000 < before < 4_000_000
    vm.define(1, "app:x", b"return '" + b"x" * 100_000 + b"'", "app:x", {}, {})
    assert vm.memory_bytes() > before + 100_000


def test_an_actor_without_its_unit_cannot_start() -> None:
    with pytest.raises(LupaError, match="no unit 99"):
        Vm(silent, lambda: 0.5).start(1, b"{p|1}", 99, b"main", b"\x90", 1.0, 10)


def test_the_order_of_pairs_is_the_same_in_every_vm() -> None:
    body = "local t, out = {}, {} for i = 1, 40 do t['key' .. i] = i end for k in pairs(t) do out[#out + 1] = k end return out"
    assert Bench().run(body) == Bench().run(body)


def test_random_numbers_come_from_the_host() -> None:
    assert Bench().run("return { math.random(), math.random(10) }") == [0.5, 6]


def test_a_run_gives_way_after_its_time() -> None:
    bench = Bench(cpu_s=10.0)
    bench.start("while true do end")
    before = bench.looks
    assert bench.turn() is True
    assert 0.01 <= (bench.looks - before) * 0.000_02 < 0.02


def test_a_flood_of_commands_comes_in_portions() -> None:
    bench = Bench(cpu_s=10.0)
    actor = bench.start("for i = 1, 3000 do t.begin(i) end channel.new():receive()")
    bench.settle()
    assert list(bench.waiting.values()) == [[at] for at in range(1, 3001)]
    assert actor not in bench.ended
