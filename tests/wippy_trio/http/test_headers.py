import pytest
from hypothesis import given
from hypothesis import strategies as st

from wippy_trio.core.errors import InvalidError
from wippy_trio.http.headers import (
    Headers,
    canonical_name,
    decode_query,
    parse_cookies,
    parse_media_type,
    query_escape,
    query_unescape,
    strip_address_port,
)


def test_names_are_canonical_and_looked_up_in_any_case() -> None:
    headers = Headers([("content-type", "a"), ("X-ID", "1"), ("x-id", "2")])
    assert headers.names() == ["Content-Type", "X-Id"]
    assert headers.get("CONTENT-TYPE") == "a"
    assert headers.get_all("x-Id") == ["1", "2"]
    assert headers.get_exact("x-id") == []
    assert headers.get_exact("X-Id") == ["1", "2"]
    assert canonical_name("bad name") == "bad name"


def test_wire_fields_cannot_be_used_to_inject_lines() -> None:
    headers = Headers([("X-A", "one\r\nX-B: two"), ("bad name", "x"), ("X-C\n", "x")])
    assert headers.wire_fields() == [(b"X-A", b"one  X-B: two")]


def test_copies_are_independent() -> None:
    headers = Headers([("A", "1")])
    twin = headers.copy()
    twin.add("A", "2")
    assert headers.get_all("A") == ["1"]


@given(st.text())
def test_query_escaping_goes_there_and_back(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert query_unescape(query_escape(text)) == text


def test_query_escape_as_the_reference() -> None:
    assert query_escape("hello world&x=1/é~") == "hello+world%26x%3D1%2F%C3%A9~"
    with pytest.raises(InvalidError, match='invalid URL escape "%zz"'):
        query_unescape("a%zz")


def test_decode_query_keeps_what_can_be_read() -> None:
    assert decode_query("a=1&a=2&b&c=%zz&d;e=1&f=x+y") == {"a": ["1", "2"], "b": [""], "f": ["x y"]}


def test_cookies() -> None:
    assert parse_cookies(['a=1; b="two"; a=3', "c=4"]) == {"a": "1", "b": "two", "c": "4"}


def test_media_type() -> None:
    assert parse_media_type('Text/HTML; charset="utf-8"; x=1') == ("text/html", {"charset": "utf-8", "x": "1"})
    assert parse_media_type(r'form-data; name="a\"b"; filename="c:\d.txt"')[1] == {
        "name": 'a"b',
        "filename": "c:\\d.txt",
    }


@pytest.mark.parametrize(
    ("address", "host"),
    [("1.2.3.4:5", "1.2.3.4"), ("[::1]:80", "::1"), ("::1", "::1"), ("1.2.3.4", "1.2.3.4"), ("", "")],
)
def test_strip_address_port(address: str, host: str) -> None:
    assert strip_address_port(address) == host
