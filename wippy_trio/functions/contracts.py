"""Contracts: interfaces by name, the bindings that implement them with functions, and calls through them.

Source: docs lua/core/contract, guides/entry-kinds (Contracts).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import AlreadyExistsError, InvalidError, NotFoundError
from wippy_trio.core.ids import EntryId

__all__ = [
    "Binding",
    "BoundContract",
    "Contracts",
    "Definition",
    "Instance",
    "Method",
    "contracts_of",
    "missing_context",
    "parse_binding_text",
    "parse_definition",
]

_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FLOAT: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|;")
_INT64: Final = 1 << 63
_MAX_PARAMETERS: Final = 1_000


@attrs.frozen(slots=True)
class Method:
    """A method of a contract. Schemas are lists of `{format, definition}`; they describe, nothing checks by them."""

    name: str
    description: str = ""
    input_schemas: tuple[Mapping[str, Any], ...] = ()
    output_schemas: tuple[Mapping[str, Any], ...] = ()


@attrs.frozen(slots=True)
class Definition:
    """A contract."""

    id: EntryId
    methods: tuple[Method, ...] = ()

    def names(self) -> frozenset[str]:
        """The names of the methods."""
        return frozenset(method.name for method in self.methods)


@attrs.frozen(slots=True)
class BoundContract:
    """How a binding implements one contract: a function for each method.

    Attributes:
        contract: the contract.
        methods: method name to function.
        context_required: context values a call needs.
        default: whether the contract is opened with this binding unless another one is named.
    """

    contract: EntryId
    methods: Mapping[str, EntryId]
    context_required: tuple[str, ...] = ()
    default: bool = False


@attrs.frozen(slots=True)
class Binding:
    """An implementation of one or more contracts."""

    id: EntryId
    contracts: tuple[BoundContract, ...]


@attrs.frozen(slots=True)
class Instance:
    """An opened binding, as it was then.

    Attributes:
        binding: what was opened.
        contracts: what it implements.
        methods: method name to what implements it; where two contracts have a method of that name, the first.
    """

    binding: EntryId
    contracts: tuple[EntryId, ...]
    methods: Mapping[str, tuple[EntryId, BoundContract]]


class Contracts:
    """The contracts and bindings of a node that are open."""

    def __init__(self) -> None:
        self._definitions: dict[EntryId, Definition] = {}
        self._bindings: dict[EntryId, Binding] = {}

    # reading ---------------------------------------------------------------------------------------------------
    def definition(self, id: EntryId) -> Definition:
        """A contract.

        Raises:
            NotFoundError: there is none of that id.
        """
        found = self._definitions.get(id)
        if found is None:
            raise NotFoundError(f"contract definition '{id}' not found", details={"contract_id": str(id)})
        return found

    def implementations(self, contract: EntryId) -> tuple[EntryId, ...]:
        """The bindings that implement a contract, by id; none for an unknown contract."""
        return tuple(
            id_
            for id_, binding in sorted(self._bindings.items())
            if any(bound.contract == contract for bound in binding.contracts)
        )

    def default(self, contract: EntryId) -> EntryId:
        """The default binding of a contract.

        Raises:
            NotFoundError: it has none.
        """
        for id_, binding in self._bindings.items():
            if any(bound.contract == contract and bound.default for bound in binding.contracts):
                return id_
        message = f"no default binding for contract '{contract}'"
        raise NotFoundError(message, details={"contract_id": str(contract)})

    def open(self, id: EntryId) -> Instance:
        """Open a binding.

        Raises:
            NotFoundError: there is none of that id.
        """
        binding = self._bindings.get(id)
        if binding is None:
            raise NotFoundError(f"contract binding '{id}' not found", details={"binding_id": str(id)})
        methods: dict[str, tuple[EntryId, BoundContract]] = {}
        for bound in binding.contracts:
            for name, function in bound.methods.items():
                methods.setdefault(name, (function, bound))
        return Instance(id, tuple(bound.contract for bound in binding.contracts), methods)

    # changing --------------------------------------------------------------------------------------------------
    def put_definition(self, definition: Definition) -> bool:
        """Make a contract known; True when it takes the place of another version."""
        known = definition.id in self._definitions
        self._definitions[definition.id] = definition
        return known

    def remove_definition(self, definition: Definition) -> bool:
        """Forget a contract; False when another version has taken its place."""
        if self._definitions.get(definition.id) is not definition:
            return False
        del self._definitions[definition.id]
        return True

    def put_binding(self, binding: Binding) -> bool:
        """Make a binding known; True when it takes the place of another version.

        Raises:
            InvalidError: it does not fit its contracts.
            AlreadyExistsError: it is to be the default of a contract that has another one.
        """
        self._check(binding, self._definitions)
        for bound in binding.contracts:
            if bound.default:
                self._check_default(binding, bound)
        known = binding.id in self._bindings
        self._bindings[binding.id] = binding
        return known

    def remove_binding(self, binding: Binding) -> bool:
        """Forget a binding; False when another version has taken its place. Opened instances go on."""
        if self._bindings.get(binding.id) is not binding:
            return False
        del self._bindings[binding.id]
        return True

    def check_change(self, id: EntryId, definition: Definition | None) -> None:
        """Whether a contract may become `definition`, or go (None).

        Raises:
            InvalidError: a binding would no longer fit.
        """
        for binding_id in self.implementations(id):
            details = {"definition_id": str(id), "binding_id": str(binding_id)}
            if definition is None:
                raise InvalidError(f"contract definition {id} is in use by binding {binding_id}", details=details)
            try:
                self._check(self._bindings[binding_id], {**self._definitions, id: definition})
            except InvalidError as error:
                message = f"definition update would invalidate binding {binding_id}: {error}"
                raise InvalidError(message, details={**details, "cause": str(error)}) from error

    def _check(self, binding: Binding, definitions: Mapping[EntryId, Definition]) -> None:
        if not binding.contracts:
            message = f"binding must bind at least one contract: {binding.id}"
            raise InvalidError(message, details={"binding_id": str(binding.id)})
        for bound in binding.contracts:
            details = {"binding_id": str(binding.id), "contract_id": str(bound.contract)}
            definition = definitions.get(bound.contract)
            if definition is None:
                message = f"binding {binding.id} references undefined contract {bound.contract}"
                raise InvalidError(message, details=details)
            names = definition.names()
            for name in sorted(names - bound.methods.keys()):
                message = f"contract method is not bound: {name} of {bound.contract} in {binding.id}"
                raise InvalidError(message, details={**details, "method_name": name})
            for name in sorted(bound.methods.keys() - names):
                message = f"bound method is not defined in contract definition: {name} of {bound.contract}"
                raise InvalidError(message, details={**details, "method_name": name})

    def _check_default(self, binding: Binding, bound: BoundContract) -> None:
        try:
            other = self.default(bound.contract)
        except NotFoundError:
            return
        if other != binding.id:
            message = f"contract {bound.contract} already has default binding {other}"
            details = {
                "contract_id": str(bound.contract),
                "existing_binding_id": str(other),
                "new_binding_id": str(binding.id),
            }
            raise AlreadyExistsError(message, details=details)


def contracts_of(extras: dict[str, Any]) -> Contracts:
    """The node's contracts, kept among the runtime's `extras`; made at first use."""
    contracts = extras.setdefault("contracts", Contracts())
    assert isinstance(contracts, Contracts)
    return contracts


# --------------------------------------------------------------------------------------------------- definitions


def parse_definition(entry: Entry) -> Definition:
    """Read a contract.definition.

    Raises:
        InvalidError: a malformed or repeated method, or a schema without a format.
    """
    raw = entry.data.get("methods")
    if raw is not None and not _is_list(raw):
        raise InvalidError(f"{entry.id}: methods must be a list")
    methods: dict[str, Method] = {}
    for item in raw or ():
        method = _parse_method(entry.id, item)
        if method.name in methods:
            raise InvalidError(f"{entry.id}: duplicate method name: {method.name}", details=_about(entry, method.name))
        methods[method.name] = method
    return Definition(entry.id, tuple(methods.values()))


def _about(entry: Entry, name: str) -> dict[str, object]:
    return {"definition_id": str(entry.id), "method_name": name}


def _is_list(value: object) -> bool:
    """A list, or the empty table of Lua, which may stand for one."""
    return isinstance(value, list | tuple) or value == {}


def _parse_method(id: EntryId, raw: object) -> Method:
    if not isinstance(raw, Mapping):
        raise InvalidError(f"{id}: a method must be a map with a name")
    name = raw.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidError(f"{id}: method name cannot be empty", details={"definition_id": str(id)})
    description = raw.get("description")
    return Method(
        name,
        description if isinstance(description, str) else "",
        _parse_schemas(id, name, "input", raw.get("input_schemas")),
        _parse_schemas(id, name, "output", raw.get("output_schemas")),
    )


def _parse_schemas(id: EntryId, method: str, way: str, raw: object) -> tuple[Mapping[str, Any], ...]:
    if raw is None:
        return ()
    if not _is_list(raw) or not all(isinstance(item, Mapping) for item in raw):  # type: ignore[attr-defined]
        raise InvalidError(f"{id}: {way}_schemas of method {method} must be a list of maps")
    schemas: Sequence[Mapping[str, Any]] = tuple(raw)  # type: ignore[arg-type]
    for index, schema in enumerate(schemas):
        if schema.get("definition") not in (None, "", "null", {}) and not schema.get("format"):
            message = f"{id}: {way} schema has a definition but no format specified (method {method})"
            details = {"definition_id": str(id), "method_name": method, "schema_index": index}
            raise InvalidError(message, details=details)
    return tuple(schemas)


# -------------------------------------------------------------------------------------------------------- opening


def parse_binding_text(text: str) -> tuple[EntryId, dict[str, Any]]:
    """Read what is opened: `namespace:name`, or with context values `namespace:name?tenant=acme&debug=true&limit=5`.

    Values that read as booleans, whole numbers or numbers become such; of a repeated key the first counts.

    Raises:
        InvalidError: no id, or a malformed query.
    """
    base, mark, query = text.partition("?")
    space, colon, name = base.partition(":")
    if not (colon and space and name):
        raise InvalidError(f"invalid binding id '{base}': expected namespace:name")
    if not mark:
        return EntryId(space, name), {}
    if _BAD_ESCAPE.search(query):
        raise InvalidError(f"invalid query in binding id '{text}'")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as problem:
        raise InvalidError(f"invalid query in binding id: more than {_MAX_PARAMETERS} values") from problem
    values: dict[str, Any] = {}
    for key, value in pairs:
        values.setdefault(key, _typed(value))
    return EntryId(space, name), values


def _typed(text: str) -> object:
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text) and -_INT64 <= int(text) < _INT64:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def missing_context(required: Iterable[str], *values: Mapping[str, Any]) -> None:
    """Refuse a call that lacks context values.

    Raises:
        InvalidError: keys of `required` that are in none of `values`.
    """
    missing = [key for key in required if not any(key in held for held in values)]
    if missing:
        message = f"missing required context keys: [{', '.join(missing)}]"
        raise InvalidError(message, details={"missing_keys": missing})
