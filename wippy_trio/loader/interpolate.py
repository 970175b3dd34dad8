"""Placeholders in texts: `${env:NAME}`, `${env:NAME|default}`, `${NAME|default}` and the escape `$${`.

Entries keep their raw text in the registry; `interpolate` runs when a kind decodes its data, so that a resolved
secret never shows in `registry.get`. Source: docs system/env (Placeholder Interpolation).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from wippy_trio.core.errors import InvalidError, NotFoundError

__all__ = ["Resolver", "coerce", "interpolate", "names_in", "replace_placeholders"]

#: Gives a variable's value (its own default included), or None where it is unknown or unset.
Resolver = Callable[[str], str | None]

_PLACEHOLDER: Final = re.compile(
    r"\$\$\{"  # escape
    r"|\$\{env:(?P<name>[A-Za-z0-9_.:/\-]+)(?:\|(?P<default>[^}]*))?\}"
    r"|\$\{(?P<short>[A-Z][A-Z0-9_]*)\|(?P<short_default>[^}]*)\}"
)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_WORDS: Final = {"true": True, "false": False}


def interpolate(data: Any, resolve: Resolver) -> Any:
    """A copy of `data` with placeholders resolved, `<field>_env` keys applied and `$${` unescaped.

    A text that is one placeholder takes the type of its default (bool, int or float) where the value reads as that;
    everything else stays a text. A `<field>_env` key that names a known variable gives `<field>` its value and is
    dropped; an empty variable keeps the inline value, and an unknown name leaves the key alone.

    Raises:
        NotFoundError: a placeholder without default whose variable is unknown or unset.
    """
    if isinstance(data, str):
        return _text(data, resolve) if "${" in data else data
    if isinstance(data, Mapping):
        return _mapping(data, resolve)
    if isinstance(data, list):
        return [interpolate(item, resolve) for item in data]
    return data


def _mapping(data: Mapping[str, Any], resolve: Resolver) -> dict[str, Any]:
    made: dict[str, Any] = {}
    directives: dict[str, str] = {}
    for key, value in data.items():
        if key.endswith("_env") and len(key) > len("_env") and isinstance(value, str) and "${" not in value:
            found = resolve(value) if value else None
            if found is not None:
                directives[key.removesuffix("_env")] = found
                continue
        made[key] = interpolate(value, resolve)
    made.update({field: found for field, found in directives.items() if found})
    return made


def _text(text: str, resolve: Resolver) -> Any:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole is not None and whole.lastgroup is not None:
        default = _default_of(whole)
        return coerce(_value_of(whole, resolve), default)
    return _PLACEHOLDER.sub(lambda match: _value_of(match, resolve), text)


def _default_of(match: re.Match[str]) -> str | None:
    return match["default"] if match["name"] is not None else match["short_default"]


def _value_of(match: re.Match[str], resolve: Resolver) -> str:
    name = match["name"] or match["short"]
    if name is None:
        return "${"
    found = resolve(name)
    if found is None:
        found = _default_of(match)
    if found is None:
        message = f"variable {name} is not set and its placeholder ${{env:{name}}} has no default"
        raise NotFoundError(message)
    return found


def coerce(value: str, default: str | None) -> Any:
    """`value` in the type that `default` reads as; the text itself where it does not read as that type."""
    if default is None:
        return value
    if default in _WORDS:
        return _WORDS.get(value.lower(), value)
    if _INTEGER.fullmatch(default):
        return int(value) if _INTEGER.fullmatch(value) else value
    if _FLOAT.fullmatch(default):
        return float(value) if _FLOAT.fullmatch(value) or _INTEGER.fullmatch(value) else value
    return value


def names_in(data: Any) -> Iterator[str]:
    """The variables that placeholders in `data` name, in order, repeats included."""
    if isinstance(data, str):
        if "${" in data:
            for match in _PLACEHOLDER.finditer(data):
                name = match["name"] or match["short"]
                if name is not None:
                    yield name
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from names_in(value)
    elif isinstance(data, list):
        for item in data:
            yield from names_in(item)


def replace_placeholders(text: str, replace: Callable[[str, str | None], Any]) -> Any:
    """Resolve `${env:NAME}`, `${name}` and their defaults in a text of a configuration file.

    Args:
        text: the raw text.
        replace: gets what stands before `|` (`env:NAME` or `name`) and the default; returns the value, or None to
            leave the placeholder as it is.

    Returns:
        The value itself where the text is one placeholder, else a text.

    Raises:
        InvalidError: a placeholder that does not end.
    """
    if "${" not in text:
        return text
    parts: list[Any] = []
    place = 0
    for match in re.finditer(r"\$\$\{|\$\{([^{}]*)(\})?", text):
        if match.start() > place:
            parts.append(text[place : match.start()])
        place = match.end()
        if match[0] == "$${":
            parts.append("${")
            continue
        if match[2] is None:
            message = f"placeholder {match[0]!r} does not end with }}"
            raise InvalidError(message)
        name, bar, default = match[1].partition("|")
        found = replace(name, default if bar else None)
        parts.append(match[0] if found is None else found)
    if place < len(text):
        parts.append(text[place:])
    return parts[0] if len(parts) == 1 else "".join(_plain(part) for part in parts)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
