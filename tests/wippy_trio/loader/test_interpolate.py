from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wippy_trio.core.errors import InvalidError, NotFoundError
from wippy_trio.loader.interpolate import coerce, interpolate, names_in, replace_placeholders

VARIABLES = {"PORT": "9090", "HOST": "example", "EMPTY": "", "app.env:cert": "PEM", "ON": "TRUE"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:HOST}", "example"),
        ("${env:app.env:cert}", "PEM"),
        ("${env:NONE|fallback}", "fallback"),
        ("${env:NONE|}", ""),
        ("${env:PORT}", "9090"),
        ("${env:PORT|8080}", 9090),
        ("${env:NONE|8080}", 8080),
        ("${env:HOST|8080}", "example"),
        ("${env:ON|false}", True),
        ("${env:NONE|1.5}", 1.5),
        ("${env:EMPTY|x}", ""),
        ("${PORT|1}", 9090),
        ("${NONE_SUCH|a b}", "a b"),
        ("http://${env:HOST}:${PORT|1}/x", "http://example:9090/x"),
        ("${PORT}", "${PORT}"),
        ("${lower|x}", "${lower|x}"),
        ("$${env:HOST}", "${env:HOST}"),
        ("a $${ b", "a ${ b"),
        ("$HOST ${ x", "$HOST ${ x"),
    ],
)
def test_placeholders(text: str, value: object) -> None:
    found = interpolate(text, VARIABLES.get)
    assert (type(found), found) == (type(value), value)


def test_a_variable_without_value_and_default_fails() -> None:
    with pytest.raises(NotFoundError, match="variable NONE is not set"):
        interpolate({"a": ["x ${env:NONE}"]}, VARIABLES.get)


def test_nested_data_is_copied() -> None:
    data = {"a": [{"b": "${env:HOST}"}, 1, None]}
    assert interpolate(data, VARIABLES.get) == {"a": [{"b": "example"}, 1, None]}
    assert data == {"a": [{"b": "${env:HOST}"}, 1, None]}


def test_env_suffix_keys() -> None:
    data = {"tls": {"cert_env": "app.env:cert", "key_env": "unknown", "key": "inline"}, "x_env": "EMPTY", "x": "kept"}
    assert interpolate(data, VARIABLES.get) == {
        "tls": {"cert": "PEM", "key_env": "unknown", "key": "inline"},
        "x": "kept",
    }


@pytest.mark.parametrize(
    ("value", "default", "made"),
    [("1", "2", 1), ("1", "x", "1"), ("1", None, "1"), ("1", "2.0", 1.0), ("yes", "true", "yes"), ("x", "2.0", "x")],
)
def test_types_follow_the_default(value: str, default: str | None, made: object) -> None:
    found = coerce(value, default)
    assert (type(found), found) == (type(made), made)


def test_names() -> None:
    data: Any = {"a": "${env:A} ${B|x} $${env:C}", "b": ["${env:ns:d|1}", 5]}
    assert list(names_in(data)) == ["A", "B", "ns:d"]


@given(st.text(alphabet="${}|:envA ", max_size=30))
def test_any_text_is_handled(text: str) -> None:
    try:
        interpolate(text, {"A": "1"}.get)
    except NotFoundError as error:
        assert "is not set" in str(error)  # noqa: PT017 - both outcomes are right


def test_configuration_placeholders() -> None:
    values: dict[str, Any] = {"port": 8080, "env:HOME": "/srv", "flag": True}

    def replace(name: str, default: str | None) -> Any:
        return values.get(name, default)

    assert replace_placeholders("${port}", replace) == 8080
    assert replace_placeholders(":${port}/${flag}", replace) == ":8080/true"
    assert replace_placeholders("${env:HOME}/x", replace) == "/srv/x"
    assert replace_placeholders("$${port} ${gone|d} ${gone}", replace) == "${port} d ${gone}"
    with pytest.raises(InvalidError, match="does not end"):
        replace_placeholders("${port", replace)
