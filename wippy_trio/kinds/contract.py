"""Kinds contract.definition and contract.binding. Source: docs guides/entry-kinds (Contracts), lua/core/contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.functions.contracts import Binding, BoundContract, contracts_of, parse_definition
from wippy_trio.kind import Kind, relative
from wippy_trio.runtime import Runtime

__all__ = ["KINDS", "parse_binding"]


def parse_binding(entry: Entry) -> Binding:
    """Read a contract.binding.

    Raises:
        InvalidError: a malformed field.
    """
    raw = entry.data.get("contracts") or []
    if not isinstance(raw, list | tuple):
        raise InvalidError(f"{entry.id}: contracts must be a list")
    return Binding(entry.id, tuple(_bound(entry, item) for item in raw))


def _bound(entry: Entry, raw: object) -> BoundContract:
    if not isinstance(raw, Mapping) or not raw.get("contract"):
        raise InvalidError(f"{entry.id}: contract is required in each item of contracts")
    methods = raw.get("methods") or {}
    required = raw.get("context_required") or []
    default = raw.get("default", False)
    if not isinstance(methods, Mapping) or not all(methods.values()):
        raise InvalidError(f"{entry.id}: methods must map method names to functions")
    if not isinstance(required, list | tuple) or not all(isinstance(key, str) for key in required):
        raise InvalidError(f"{entry.id}: context_required must be a list of keys")
    if not isinstance(default, bool):
        raise InvalidError(f"{entry.id}: default must be true or false")
    functions = {str(name): relative(entry, target) for name, target in methods.items()}
    return BoundContract(relative(entry, raw["contract"]), functions, tuple(required), default)


def guard_definition(old: Entry, new: Entry | None, runtime: Runtime) -> None:
    """Refuse what would leave a binding without its contract."""
    contracts_of(runtime.extras).check_change(old.id, None if new is None else parse_definition(new))


@asynccontextmanager
async def open_definition(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A contract, known as long as its entry lives."""
    contracts = contracts_of(runtime.extras)
    definition = parse_definition(entry)
    known = contracts.put_definition(definition)
    runtime.events.publish("contract", f"contract.definition.{'update' if known else 'register'}", str(entry.id))
    try:
        yield
    finally:
        if contracts.remove_definition(definition):
            runtime.events.publish("contract", "contract.definition.delete", str(entry.id))


@asynccontextmanager
async def open_binding(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """An implementation, open to callers as long as its entry lives."""
    contracts = contracts_of(runtime.extras)
    binding = parse_binding(entry)
    known = contracts.put_binding(binding)
    runtime.events.publish("contract", f"contract.binding.{'update' if known else 'register'}", str(entry.id))
    try:
        yield
    finally:
        if contracts.remove_binding(binding):
            runtime.events.publish("contract", "contract.binding.delete", str(entry.id))


KINDS = (
    Kind("contract.definition", open_definition, guard=guard_definition, swap=True),
    Kind("contract.binding", open_binding, references=("contracts.*.contract", "contracts.*.methods.*"), swap=True),
)
