"""Header fields as a multi-map, and the small text codecs of HTTP: cookies, query strings, media types.

Names are kept in canonical form (`content-type` becomes `Content-Type`), for Lua code looks them up by that form.
Values are text that keeps every byte (UTF-8 with surrogate escapes), so that nothing is lost on the way to Lua.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from wippy_trio.core.errors import InvalidError

__all__ = [
    "Headers",
    "canonical_name",
    "decode_query",
    "first_query_value",
    "parse_cookies",
    "parse_media_type",
    "query_escape",
    "query_unescape",
    "strip_address_port",
]

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")
_HEX = "0123456789abcdefABCDEF"
_CONTROL = dict.fromkeys((*range(9), *range(10, 32), 127), " ")
_MAX_QUERY_PAIRS_COUNT = 10_000


@lru_cache(maxsize=4096)
def canonical_name(name: str) -> str:
    """`x-request-id` as `X-Request-Id`; a name with characters outside the token set is returned as it is."""
    if not name or not _TOKEN.issuperset(name):
        return name
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


class Headers:
    """A multi-map of header fields by canonical name, in order of first appearance.

    Args:
        fields: pairs of name and value, added in order.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self.add(name, value)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a field, whatever the case of `name`."""
        values = self._fields.get(canonical_name(name))
        return values[0] if values else default

    def get_all(self, name: str) -> list[str]:
        """Every value of a field (a copy)."""
        return list(self._fields.get(canonical_name(name), ()))

    def get_exact(self, name: str) -> list[str]:
        """Every value under exactly this spelling. Lua's `req:header` finds canonical spellings only.

        Source: spec lua/http, docs_vs_code "header lookup".
        """
        return list(self._fields.get(name, ()))

    def set(self, name: str, value: str) -> None:
        """Replace a field."""
        self._fields[canonical_name(name)] = [value]

    def add(self, name: str, value: str) -> None:
        """Add a value to a field."""
        self._fields.setdefault(canonical_name(name), []).append(value)

    def remove(self, name: str) -> None:
        """Drop a field, present or not."""
        self._fields.pop(canonical_name(name), None)

    def copy(self) -> Headers:
        """An independent copy."""
        twin = Headers()
        twin._fields = {name: list(values) for name, values in self._fields.items()}
        return twin

    def names(self) -> list[str]:
        """The canonical names."""
        return list(self._fields)

    def items(self) -> Iterator[tuple[str, str]]:
        """Every pair of name and value."""
        for name, values in self._fields.items():
            for value in values:
                yield name, value

    def wire_fields(self) -> list[tuple[bytes, bytes]]:
        """The fields for the wire: bad names dropped, control characters in values made spaces (no injection)."""
        return [
            (name.encode("ascii"), value.translate(_CONTROL).strip().encode("utf-8", "surrogateescape"))
            for name, value in self.items()
            if name and _TOKEN.issuperset(name)
        ]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and canonical_name(name) in self._fields

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self.items())!r})"


def query_escape(text: str) -> str:
    """Escape for a query string: letters, digits and `-_.~` stay, a space becomes `+`. Source: lua/http/client."""
    return "".join(
        chr(byte) if byte in _UNRESERVED else "+" if byte == 0x20 else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def query_unescape(text: str, *, plus: bool = True) -> str:
    """Undo `query_escape` (with `plus=False` a `+` stays, as in paths).

    Raises:
        InvalidError: a `%` without two hex digits after it.
    """
    if "%" not in text:
        return text.replace("+", " ") if plus else text
    source = (text.replace("+", " ") if plus else text).encode("utf-8", "surrogateescape")
    first, *rest = source.split(b"%")
    out = bytearray(first)
    for piece in rest:
        code = piece[:2].decode("latin-1")
        if len(code) < 2 or code[0] not in _HEX or code[1] not in _HEX:
            message = f'invalid URL escape "%{code}"'
            raise InvalidError(message)
        out.append(int(code, 16))
        out += piece[2:]
    return out.decode("utf-8", "surrogateescape")


def decode_query(raw: str) -> dict[str, list[str]]:
    """A query string as values by key. Pairs that cannot be read (bad escapes, semicolons) are skipped, as in Go."""
    found: dict[str, list[str]] = {}
    for pair in raw.split("&", _MAX_QUERY_PAIRS_COUNT)[:_MAX_QUERY_PAIRS_COUNT]:
        if not pair or ";" in pair:
            continue
        key, _, value = pair.partition("=")
        try:
            key, value = query_unescape(key), query_unescape(value)
        except InvalidError:
            continue
        found.setdefault(key, []).append(value)
    return found


def first_query_value(raw: str, key: str) -> str:
    """The first value of `key` in a query string, empty where absent."""
    values = decode_query(raw).get(key)
    return values[0] if values else ""


def parse_cookies(values: Iterable[str]) -> dict[str, str]:
    """`Cookie` header values as a mapping; the first of equal names wins."""
    found: dict[str, str] = {}
    for value in values:
        for part in value.split(";"):
            name, equals, text = part.strip().partition("=")
            if equals and name:
                found.setdefault(name.strip(), text.strip().removeprefix('"').removesuffix('"'))
    return found


def parse_media_type(value: str) -> tuple[str, dict[str, str]]:
    """`text/html; charset="utf-8"` as type and parameters, names in lower case."""
    kind, _, rest = value.partition(";")
    parameters: dict[str, str] = {}
    while rest:
        rest = rest.lstrip("; \t")
        name, equals, rest = rest.partition("=")
        if not equals:
            break
        if rest.startswith('"'):
            text, rest = _quoted(rest)
        else:
            text, _, rest = rest.partition(";")
            text = text.strip()
        parameters[name.strip().lower()] = text
    return kind.strip().lower(), parameters


def _quoted(rest: str) -> tuple[str, str]:
    out: list[str] = []
    index = 1
    while index < len(rest):
        char = rest[index]
        if char == '"':
            return "".join(out), rest[index + 1 :]
        # Browsers send Windows paths with single backslashes, so only \" and \\ count as escapes.
        if char == "\\" and rest[index + 1 : index + 2] in ('"', "\\"):
            index += 1
            char = rest[index]
        out.append(char)
        index += 1
    return "".join(out), ""


def strip_address_port(address: str) -> str:
    """The host part of `host:port` or `[v6]:port`; an address without a port is returned as it is."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else address
