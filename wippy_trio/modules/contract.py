"""The `contract` module: services behind named interfaces. Source: docs lua/core/contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.values import Boxed, Packed, as_text, pack_list
from wippy_trio.core.errors import PermissionDeniedError
from wippy_trio.core.ids import EntryId
from wippy_trio.functions.contracts import Contracts, Method, contracts_of, missing_context, parse_binding_text
from wippy_trio.functions.frames import derived_frame
from wippy_trio.module import Call, Module, ModuleClass, Permission, WorkflowRule

__all__ = ["MODULE"]

MODULE = Module(
    "contract",
    classes={ModuleClass.WORKFLOW, ModuleClass.NONDETERMINISTIC},
    prelude="contract.lua",
    needs=("funcs",),  # asynchronous calls give its futures
)


def _contracts(call: Call) -> Contracts:
    return contracts_of(call.runtime.extras)


def _id(text: object) -> EntryId:
    namespace, _, name = as_text(text).partition(":")
    return EntryId(namespace, name)


def _method(method: Method) -> dict[str, Any]:
    """A method as Lua sees it; schemas only where there are some."""
    plain: dict[str, Any] = {"name": method.name, "description": method.description}
    for key, schemas in (("input_schemas", method.input_schemas), ("output_schemas", method.output_schemas)):
        if schemas:
            plain[key] = [
                {"format": schema.get("format") or "", "definition": schema.get("definition")} for schema in schemas
            ]
    return plain


@MODULE.immediate("contract.check")
def check(call: Call, action: str, resource: str, message: str) -> bool:
    """A permission of a step that does nothing else here."""
    if not call.allowed(action, resource):
        raise PermissionDeniedError(message)
    return True


@MODULE.immediate(
    "contract.get", permission=Permission("contract.get", message="not allowed to access contract: {resource}")
)
def get(call: Call, id: object) -> dict[str, Any]:
    """A contract: id and methods."""
    found = _contracts(call).definition(_id(id))
    return {"id": str(found.id), "methods": [_method(method) for method in found.methods]}


@MODULE.immediate(
    "contract.implementations",
    permission=Permission("contract.implementations", message="not allowed to list implementations: {resource}"),
)
def implementations(call: Call, id: object) -> list[str]:
    """The bindings that implement a contract, by id."""
    return [str(found) for found in _contracts(call).implementations(_id(id))]


@MODULE.immediate("contract.open")
def open_binding(
    call: Call, binding: object, contract: object = None, context: object = None, scope: object = None
) -> dict[str, Any]:
    """Open a binding: what it implements, its methods and the context values of its calls.

    Args:
        call: who asks.
        binding: `ns:name?key=value`, or None for the default binding of `contract`.
        contract: id of the contract it is opened through.
        context: values of `with_context`; they beat those of the query.
        scope: values given to `open`; they beat both.
    """
    contracts = _contracts(call)
    if binding is None:
        id_, values = contracts.default(_id(contract)), dict[str, Any]()
    else:
        id_, values = parse_binding_text(as_text(binding))
    if not call.allowed("contract.open", str(id_)):
        raise PermissionDeniedError(f"not allowed to open binding: {id_}")
    instance = contracts.open(id_)
    for given in (context, scope):
        if isinstance(given, Mapping):
            values |= {key: value for key, value in given.items() if isinstance(key, str)}
    return {
        "contracts": {str(implemented): True for implemented in instance.contracts},
        "methods": {
            name: {"function": str(function), "required": list(bound.context_required), "method": name}
            for name, (function, bound) in instance.methods.items()
        },
        "values": values,
    }


@MODULE.waiting(
    "contract.call",
    permission=Permission(
        "contract.call",
        resource=lambda target, *_: as_text(target["method"]),
        message="not allowed to call method: {resource}",
    ),
    workflow=WorkflowRule.RECORDED,
)
async def call_method(
    call: Call, target: Mapping[str, Any], builder: Mapping[str, Any], actor: object, scope: object, *args: object
) -> Packed:
    """Call a method.

    Args:
        call: who asks.
        target: the method of an opened instance.
        builder: context values and call options.
        actor, scope: identity the function runs under; None keeps the caller's.
        args: of the method.
    """
    values = builder.get("values") or {}
    missing_context(target.get("required") or (), values, call.frame.values)
    frame, fields = derived_frame(call, Boxed("Instance", builder), actor, scope)
    options = fields.get("options") or {}
    result: Packed = await call.runtime.functions.call_packed(
        _id(target["function"]), pack_list(args), frame, options
    )
    return result
