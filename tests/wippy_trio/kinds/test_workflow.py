from __future__ import annotations

import pytest

from sandbox.errors import LuaError
from tests.wippy_trio.workflows.machines import workflow_entry
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.definitions import definitions_of


def flow(name="flow", worker=""):
    return Entry(
        EntryId("app", name),
        "workflow.lua",
        {"temporal": {"workflow": {"worker": worker}}},
        {"source": "return function() end"},
    )


async def test_name_and_worker(app):
    async with app(extra=[flow(name="flow", worker="worker"), flow("other", worker="ns:w")]) as running:
        known = definitions_of(running.runtime.extras)
        first, second = known.all()
        assert (first.name, str(first.worker)) == ("app:flow", "app:worker")
        assert (second.name, str(second.worker)) == ("app:other", "ns:w")
        assert known.workers() == {EntryId("app", "worker"), EntryId("ns", "w")}


async def test_a_type_name_of_its_own(app):
    entry = Entry(
        EntryId("app", "flow"), "workflow.lua", {"temporal": {"workflow": {"name": "Order"}}},
        {"source": "return function() end"},
    )  # fmt: skip
    async with app(extra=[entry]) as running:
        known = definitions_of(running.runtime.extras)
        assert known.named("Order") is known.find(EntryId("app", "flow")) is known.named("app:flow")
        assert known.named("Other") is None


@pytest.mark.parametrize("meta", [{"temporal": {"workflow": 3}}, {"temporal": {"workflow": {"name": 3}}}])
async def test_malformed_meta(app, meta):
    entry = Entry(EntryId("app", "flow"), "workflow.lua", meta, {"source": "return function() end"})
    with pytest.raises(LuaError, match=r"meta\.temporal\.workflow"):
        async with app(extra=[entry]):
            pass


async def test_no_source(app):
    with pytest.raises(LuaError, match="source is required"):
        async with app(extra=[Entry(EntryId("app", "flow"), "workflow.lua", {}, {})]):
            pass


async def test_a_library_s_modules_count(app):
    library = Entry(EntryId("app", "lib"), "library.lua", {}, {"source": "return {}", "modules": ["fs"]})
    with pytest.raises(LuaError, match=r"app:lib: module 'fs' cannot be used in a workflow"):
        async with app(extra=[library, workflow_entry("return 1", imports={"lib": "app:lib"})]):
            pass
