"""Nondeterminism injected on purpose is found, with the Lua line and the place in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from determinism.jobs import run_python
from tests.wippy_trio.simulation.breakers import BREAKERS
from wippy_trio.simulation.checking import Ask, Difference, compare_lives

APP = """version: "1.0"
namespace: app
entries:
  - {name: kv, kind: store.memory, lifecycle: {auto_start: true}}
  - name: work
    kind: function.lua
    method: main
    modules: [uuid, store]
    source: |
      return { main = function()
        local seen = {}
        local id = require("uuid").v4()
        require("store").get("app:kv"):set("id", id)
        BODY
        return id
      end }
  - name: scenario
    kind: function.lua
    meta: {type: simulation}
    method: main
    modules: [funcs]
    source: |
      return { main = function() require("funcs").call("app:work") return true end }
"""
HERE = str(Path(__file__).parents[3])


def folder(tmp_path: Path, body: str = "") -> str:
    (tmp_path / "src").mkdir()
    (tmp_path / "wippy.lock").write_text("directories:\n  modules: .wippy\n  src: ./src\n")
    (tmp_path / "src" / "_index.yaml").write_text(APP.replace("BODY", body))
    return str(tmp_path)


def child(body: str, ask: Ask, hash_seed: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(
        run_python(f"import sys; sys.path.insert(0, {HERE!r}); {body}", json.dumps(attrs.asdict(ask)), hash_seed)
    )
    return told


def compare(path: str, install: str = "") -> list[Difference]:
    def live_one(ask: Ask, hash_seed: str) -> dict[str, Any]:
        return child(f"{install}\nfrom wippy_trio.simulation.checking import main; main()", ask, hash_seed)

    return compare_lives(Ask(path, "app:scenario", 0, "random", ()), live_one)


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ask, dict[str, dict[str, Any]]]:
    """All breakers, each lived in two processes."""
    ask = Ask(folder(tmp_path_factory.mktemp("app")), "app:scenario", 0, "random", ())
    body = "import json; from tests.wippy_trio.simulation.breakers import tell_all; "
    body += "print(json.dumps(tell_all(json.loads(sys.stdin.read()))))"
    return ask, {seed: child(body, ask, seed) for seed in ("1", "2")}


def test_there_are_fifteen_and_more() -> None:
    assert len(BREAKERS) >= 15


@pytest.mark.parametrize("name", sorted(BREAKERS))
def test_a_source_of_nondeterminism_is_told_with_its_place(
    lives: tuple[Ask, dict[str, dict[str, Any]]], name: str
) -> None:
    ask, told = lives
    (found,) = compare_lives(ask, lambda asked, seed: told[seed][name])
    assert found.lua == "app:work:3"
    assert found.operation.startswith("uuid.v4 (")
    assert "simulation/breakers.py:" in found.operation
    assert found.one != found.other


@pytest.mark.slow
def test_so_is_one_in_an_operation_that_waits(tmp_path: Path) -> None:
    install = "from tests.wippy_trio.simulation.breakers import install; install('wall_time', 'store.key.get')"
    (found,) = compare(folder(tmp_path, 'require("store").get("app:kv"):get("id")'), install)
    assert found.lua == "app:work:5"
    assert found.operation.startswith("store.key.get (")
    assert "/wippy_trio/actors/simulated.py" in found.stacks[0]


@pytest.mark.slow
def test_keys_that_are_ordered_by_address_are_a_hazard(tmp_path: Path) -> None:
    (found,) = compare(folder(tmp_path, "seen[{}] = 1 for k in pairs(seen) do id = id end"))
    assert (found.number, found.lua) == (-1, "app:work:5")
    assert found.operation == "iteration over keys that are tables"


@pytest.mark.slow
def test_what_lua_could_leak_is_the_same_in_every_process(tmp_path: Path) -> None:
    body = """
        id = id .. tostring({}) .. tostring(print) .. tostring(math.random()) .. string.format("%p", {})
        id = id .. tostring(os.time()) .. tostring(os.clock()) .. tostring(coroutine.create(print))
        for k in pairs({ a = 1, b = 2, c = 3 }) do id = id .. k end
        require("store").get("app:kv"):set("x", id)
    """
    assert compare(folder(tmp_path, body)) == []
