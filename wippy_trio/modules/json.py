"""The `json` module: encoding, decoding and schema validation. Source: docs lua/data/json."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from sandbox.values import as_bytes
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.text import jsoncodec
from wippy_trio.text.jsonschema import Schema, compile_schema

__all__ = ["MODULE"]

MODULE = Module("json", classes={ModuleClass.ENCODING, ModuleClass.DETERMINISTIC}, prelude="json.lua")
_SCHEMAS_KEPT = 100
_schemas: OrderedDict[bytes, Schema] = OrderedDict()


def _in(context: str, error: LuaError) -> LuaError:
    error.context = (context, *error.context)
    return error


@MODULE.immediate("json.encode")
def encode(call: Call, value: object = None) -> bytes:
    """The JSON text of a value."""
    try:
        return jsoncodec.encode(value, empty_is_array=True)
    except LuaError as error:
        raise _in("encode failed", error) from None


@MODULE.immediate("json.decode")
def decode(call: Call, text: str | bytes) -> object:
    """The value of a JSON text."""
    try:
        return jsoncodec.decode(text)
    except LuaError as error:
        raise _in("decode failed", error) from None


def _schema_of(given: object) -> Schema:
    """The compiled schema of a table or a JSON text; the last `_SCHEMAS_KEPT` are kept by their text."""
    if isinstance(given, (Mapping, list)):
        # An empty table inside a schema is an object far more often than a list.
        text = jsoncodec.encode(given)
    elif isinstance(given, (str, bytes)):
        text = as_bytes(given)
    else:
        message = "schema must be a string or table"
        raise _in("schema error", InvalidError(message))
    schema = _schemas.get(text)
    if schema is None:
        try:
            schema = compile_schema(jsoncodec.decode(text))
        except LuaError as error:
            raise InvalidError(error.message, context=("compile schema",)) from None
        _schemas[text] = schema
        if len(_schemas) > _SCHEMAS_KEPT:
            _schemas.popitem(last=False)
    else:
        _schemas.move_to_end(text)
    return schema


@MODULE.immediate("json.validate")
def validate(call: Call, schema: object, value: object) -> bool:
    """Check a value against a schema."""
    compiled = _schema_of(schema)
    try:
        text = jsoncodec.encode(value)
    except LuaError as error:
        raise InvalidError(error.message, context=("convert data",)) from None
    return _check(compiled, text)


@MODULE.immediate("json.validate_string")
def validate_string(call: Call, schema: object, text: str | bytes) -> bool:
    """Check a JSON text against a schema."""
    return _check(_schema_of(schema), as_bytes(text))


def _check(schema: Schema, text: bytes) -> bool:
    try:
        problems = schema.problems(jsoncodec.decode(text))
    except LuaError as error:
        raise InvalidError(error.message, context=("validation failed",)) from None
    if problems:
        details: dict[str, object] = {"errors": [f"{path or '/'}: {text}" for path, text in problems]}
        shown = "; ".join(f"{path or '/'}: {text}" for path, text in problems[:3])
        raise InvalidError(shown, details=details, context=("validation failed",))
    return True
