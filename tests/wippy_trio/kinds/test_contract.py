"""contract.definition and contract.binding: what is accepted, and what a change may do to them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.functions.contracts import contracts_of, parse_binding_text
from wippy_trio.registry.changes import Change

OpenApp = Callable[..., AbstractAsyncContextManager[App]]

ENTRIES = """
- {name: api, kind: contract.definition, methods: [{name: run}]}
- {name: one, kind: function.lua, source: "return function() return 1 end"}
- {name: two, kind: function.lua, source: "return function() return 2 end"}
- name: impl
  kind: contract.binding
  contracts: [{contract: "app:api", default: true, methods: {run: "app:one"}}]
"""


def entry(name: str, kind: str, **data: object) -> Entry:
    return Entry(EntryId("app", name), kind, {}, data)


def definition(*names: str) -> Entry:
    return entry("api", "contract.definition", methods=[{"name": name} for name in names])


def binding(name: str, methods: dict[str, str], **more: object) -> Entry:
    return entry(name, "contract.binding", contracts=[{"contract": "app:api", "methods": methods, **more}])


async def test_a_binding_comes_after_its_contract_whatever_the_order(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        contracts = contracts_of(running.runtime.extras)
        assert contracts.implementations(EntryId("app", "api")) == (EntryId("app", "impl"),)
        assert contracts.default(EntryId("app", "api")) == EntryId("app", "impl")
        assert contracts.open(EntryId("app", "impl")).methods["run"][0] == EntryId("app", "one")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry("x", "contract.definition", methods=[{"name": ""}]), "method name cannot be empty"),
        (entry("x", "contract.definition", methods=[{"name": "a"}, {"name": "a"}]), "duplicate method name"),
        (
            entry("x", "contract.definition", methods=[{"name": "a", "input_schemas": [{"definition": {"a": 1}}]}]),
            "input schema has a definition but no format",
        ),
        (
            entry("x", "contract.definition", methods=[{"name": "a", "output_schemas": [{"definition": 1}]}]),
            "output schema has a definition but no format",
        ),
        (entry("x", "contract.definition", methods="a"), "methods must be a list"),
        (entry("x", "contract.binding"), "must bind at least one contract"),
        (entry("x", "contract.binding", contracts=[{"methods": {}}]), "contract is required"),
        (entry("x", "contract.binding", contracts=[{"contract": "app:no"}]), "references undefined contract app:no"),
        (binding("x", {}), "contract method is not bound: run"),
        (binding("x", {"run": "app:one", "walk": "app:one"}), "bound method is not defined"),
        (binding("x", {"run": "app:two"}, default=True), "already has default binding app:impl"),
        (binding("x", {"run": "app:two"}, context_required="tenant"), "context_required must be a list"),
        (binding("x", {"run": "app:two"}, default="yes"), "default must be true or false"),
    ],
)
async def test_what_is_refused(app: OpenApp, bad: Entry, reason: str) -> None:
    async with app(ENTRIES) as running:
        with pytest.raises(LuaError, match=reason):
            await running.registry.apply([Change.create(bad)])
        assert bad.id not in running.registry


async def test_a_schema_that_says_nothing_needs_no_format(app: OpenApp) -> None:
    silent = entry("x", "contract.definition", methods=[{"name": "a", "input_schemas": [{"definition": {}}]}])
    async with app(ENTRIES) as running:
        await running.registry.apply([Change.create(silent)])
        assert contracts_of(running.runtime.extras).definition(EntryId("app", "x")).names() == {"a"}


async def test_a_contract_in_use_stays(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        with pytest.raises(LuaError, match="in use by binding app:impl"):
            await running.registry.apply([Change.delete(EntryId("app", "api"))])
        assert contracts_of(running.runtime.extras).definition(EntryId("app", "api")).names() == {"run"}
        await running.registry.apply([Change.delete(EntryId("app", "api")), Change.delete(EntryId("app", "impl"))])
        with pytest.raises(LuaError, match="not found"):
            contracts_of(running.runtime.extras).open(EntryId("app", "impl"))


async def test_a_contract_changes_only_as_its_bindings_allow(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        contracts = contracts_of(running.runtime.extras)
        with pytest.raises(LuaError, match="would invalidate binding app:impl"):
            await running.registry.apply([Change.update(definition("run", "walk"))])
        assert contracts.definition(EntryId("app", "api")).names() == {"run"}
        await running.registry.apply([Change.update(definition("run"))])
        assert contracts.implementations(EntryId("app", "api")) == (EntryId("app", "impl"),)


async def test_an_updated_binding_is_opened_from_then_on(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        contracts = contracts_of(running.runtime.extras)
        before = contracts.open(EntryId("app", "impl"))
        await running.registry.apply([Change.update(binding("impl", {"run": "app:two"}, default=True))])
        assert before.methods["run"][0] == EntryId("app", "one")
        assert contracts.open(EntryId("app", "impl")).methods["run"][0] == EntryId("app", "two")


async def test_a_refused_update_leaves_the_binding_as_it_was(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        contracts = contracts_of(running.runtime.extras)
        with pytest.raises(LuaError, match="not bound"):
            await running.registry.apply([Change.update(binding("impl", {}))])
        assert contracts.open(EntryId("app", "impl")).methods["run"][0] == EntryId("app", "one")
        assert contracts.default(EntryId("app", "api")) == EntryId("app", "impl")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("9223372036854775808", 9223372036854775808.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("", ""),
        ("a+b", "a b"),
        ("%C3%A9", "é"),
    ],
)
def test_values_of_a_query(text: str, value: object) -> None:
    found = parse_binding_text(f"a:b?k={text}&other")[1]
    assert found == {"k": value, "other": ""}
    assert type(found["k"]) is type(value)


@pytest.mark.parametrize("text", ["", "a", "a:", ":b", "a:b?x=%", "a:b?x=1;y=2", "a:b?" + "x=1&" * 2000])
def test_what_names_no_binding(text: str) -> None:
    with pytest.raises(LuaError):
        parse_binding_text(text)
