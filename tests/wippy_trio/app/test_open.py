"""`open_app` as docs/guides/testing.md shows it: a directory, virtual time, the errors of Lua code."""

from pathlib import Path

import pytest
import trio

import wippy_trio
from determinism.environment import seeded_environment
from wippy_trio.core.errors import ConfigError, LuaError

INDEX = """
version: "1.0"
namespace: app.orders
entries:
  - name: created
    kind: store.memory
    lifecycle: { auto_start: true }
  - name: create
    kind: function.lua
    source: file://orders.lua
    method: create
    modules: [store, uuid]
  - name: state
    kind: function.lua
    source: file://orders.lua
    method: state
    modules: [store, uuid]
"""
ORDERS = """
local store, uuid = require("store"), require("uuid")
local orders = store.get("app.orders:created")

local function create(order)
  local id = uuid.v4()
  orders:set(id, order, 1800)
  return { id = id }
end

local function state(id)
  local order, err = orders:get(id)
  if err and err:kind() ~= errors.NOT_FOUND then return nil, err end
  return order and "open" or "expired"
end

return { create = create, state = state }
"""


@pytest.fixture
def project(tmp_path: Path) -> str:
    (tmp_path / "wippy.lock").write_text("directories: { src: ./src }\n", encoding="utf-8")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "_index.yaml").write_text(INDEX, encoding="utf-8")
    (tmp_path / "src" / "orders.lua").write_text(ORDERS, encoding="utf-8")
    return str(tmp_path)


async def test_an_order_expires(project: str, autojump_clock: trio.testing.MockClock) -> None:
    async with wippy_trio.open_app(project, environment=seeded_environment(7), env={}) as app:
        order = await app.call("app.orders:create", {"item": "tea"})
        assert await app.call("app.orders:state", order["id"]) == "open"
        await trio.sleep(3600)
        state = await app.call("app.orders:state", order["id"])
    assert state == "expired"
    assert (app.problems, app.failed) == ((), [])


async def test_an_override_reaches_its_entry(project: str, autojump_clock: trio.testing.MockClock) -> None:
    overrides = ["app.orders:create:method=nobody"]
    with pytest.raises(LuaError, match="nobody"):
        async with wippy_trio.open_app(project, overrides=overrides, environment=seeded_environment(7), env={}) as app:
            await app.call("app.orders:create", {"item": "tea"})


def break_a_file(project: str) -> None:
    Path(project, "src", "broken.yaml").write_text("namespace: app.broken\nentries: [\n", encoding="utf-8")


async def test_what_could_not_be_read_is_told(project: str, autojump_clock: trio.testing.MockClock) -> None:
    break_a_file(project)
    async with wippy_trio.open_app(project, environment=seeded_environment(7), env={}) as app:
        [problem] = app.problems
    assert isinstance(problem, ConfigError)
    assert "src/broken.yaml" in problem.render()


async def test_a_setting_that_makes_no_sense_is_refused(project: str, autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(ConfigError):
        async with wippy_trio.open_app(project, settings=["nonsense"], environment=seeded_environment(7), env={}):
            pass
