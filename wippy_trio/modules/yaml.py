"""The `yaml` module: YAML text to and from Lua values. Source: docs lua/data/yaml."""

from __future__ import annotations

from wippy_trio.core.errors import ConfigError, LuaError
from wippy_trio.loader.yaml import parse
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.text.luavalue import go_value
from wippy_trio.text.yamlcodec import encode_yaml

__all__ = ["MODULE"]

MODULE = Module("yaml", classes={ModuleClass.ENCODING, ModuleClass.DETERMINISTIC}, prelude="yaml.lua")
_INDENT, _INDENT_ORDERED = 4, 2


@MODULE.immediate("yaml.encode")
def encode(call: Call, value: object, order: list[str] | None = None, sort: bool = False) -> bytes:
    """A value as YAML: keys of `order` first; the indent is smaller when either option is used."""
    ordered = bool(order) or sort
    indent = _INDENT_ORDERED if ordered else _INDENT
    return encode_yaml(go_value(value), indent=indent, field_order=order or (), sort_unordered=sort)


@MODULE.immediate("yaml.decode")
def decode(call: Call, text: str | bytes) -> object:
    """The value of the first document of a text."""
    try:
        return parse(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"), "yaml").value
    except ConfigError as error:
        where = f"line {error.position.line}: " if error.position is not None else ""
        message = f"decode failed: yaml: {where}{error.message}"
        raise LuaError(message, kind="Internal", retryable=False) from None
