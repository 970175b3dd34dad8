from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wippy_trio.core.errors import ConfigError
from wippy_trio.loader.yaml import MAX_BYTES, MAX_DEPTH, ValuePosition, parse, resolve_scalar


def read(text: str, file: str = "x.yaml") -> object:
    return parse(text.encode(), file).value


def fault(text: str, file: str = "x.yaml") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), file)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("1:20", "1:20"),
        ("2024-01-02", "2024-01-02"),
        ("true", True),
        ("False", False),
        ("tRue", "tRue"),
        ("", None),
        ("~", None),
        ("null", None),
        ("nil", "nil"),
        ("12", 12),
        ("+12", 12),
        ("-0x1F", -31),
        ("0o17", 15),
        ("017", 15),
        ("08", 8.0),
        ("0b11", 3),
        ("1_000", 1000),
        ("0", 0),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616.0),
        ("0xFFFFFFFFFFFFFFFFF", "0xFFFFFFFFFFFFFFFFF"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".", "."),
        ("-", "-"),
        ("1.2.3", "1.2.3"),
        ("-.inf", -math.inf),
        ("v1", "v1"),
        ("0.0.0.0:80", "0.0.0.0:80"),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    found = resolve_scalar(text)
    assert (type(found), found) == (type(value), value)


def test_not_a_number() -> None:
    assert math.isnan(resolve_scalar(".NaN"))


def test_quoted_scalars_are_texts() -> None:
    assert read("a: '1'\nb: \"true\"\nc: |\n  2\n") == {"a": "1", "b": "true", "c": "2\n"}


def test_explicit_tags() -> None:
    text = "a: !!str 1\nb: !!float 1\nc: !!int '7'\nd: !!binary aGk=\ne: !custom x\nf: !!binary /w==\n"
    assert read(text) == {"a": "1", "b": 1.0, "c": 7, "d": "hi", "e": "x", "f": b"\xff"}
    assert "cannot read 'x' as !!int" in str(fault("a: !!int x"))


def test_keys_are_texts() -> None:
    assert read("200: ok\ntrue: yes\n~: 1\n") == {"200": "ok", "true": "yes", "~": 1}
    assert "a key must be a text" in str(fault("? [a]\n: 1\n"))


def test_anchors_and_merges() -> None:
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nuse:\n  <<: [*b, *m]\n  x: 9\nalso: *b\n'<<': quoted\n"
    assert read(text) == {
        "base": {"x": 1, "y": 2},
        "more": {"y": 3, "z": 4},
        "use": {"x": 9, "y": 2, "z": 4},
        "also": {"x": 1, "y": 2},
        "<<": "quoted",
    }
    assert "a merge needs a mapping" in str(fault("a:\n  <<: 1\n"))


def test_only_the_first_document_counts() -> None:
    assert read("a: 1\n---\nb: [\n") == {"a": 1}
    assert read("") is None


def test_a_duplicate_key_is_shown_with_a_caret() -> None:
    error = fault("a: 1\nb:\n  c: 1\n  c: 2\n")
    assert error.render() == 'x.yaml:4:3: error: key "c" is given twice (first on line 3)\n    c: 2\n    ^'


def test_bad_syntax_is_shown_with_a_caret() -> None:
    error = fault("a: [1,\nb: 2\n")
    assert error.position is not None
    assert (error.position.line, error.position.file) == (3, "x.yaml")  # where the list would have to end
    assert str(error).startswith("invalid YAML: ")


def test_limits() -> None:
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert "nested deeper" in str(fault("[" * (MAX_DEPTH + 1)))
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    for level in range(1, 9):
        bomb += f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n"
    assert "expands to more than" in str(fault(bomb))
    assert "contains itself" in str(fault("a: &a [*a]\n"))
    with pytest.raises(ConfigError, match="larger than 16 MiB"):
        parse(b" " * (MAX_BYTES + 1), "x.yaml")
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        parse(b"a: 1\nb: \xff\n", "x.yaml")
    assert str(caught.value.position) == "x.yaml:2:1"


def test_places_of_keys() -> None:
    document = parse(b"entries:\n  - name: a\n    pool:\n      size: x\n", "x.yaml")
    assert str(document.position(("entries", 0, "pool", "size"))) == "x.yaml:4:7"
    assert str(document.position(("entries", 0, "nowhere"))) == "x.yaml:2:5"
    entry = document.value["entries"][0]
    place = ValuePosition(document, entry, document.child_place(document.value["entries"], 0))
    assert str(place) == "x.yaml:2:5"
    assert str(place.of("pool.size")) == "x.yaml:4:7"
    assert str(place.of("data.pool")) == "x.yaml:3:5"
    assert place.of("name").text == "  - name: a"


def test_places_inside_a_data_block() -> None:
    document = parse(b"name: a\ndata:\n  size: 1\nmeta:\n  x: 1\n", "x.yaml")
    place = ValuePosition(document, document.value, (0, 0))
    assert str(place.of("size")) == "x.yaml:3:3"
    assert str(place.of(["meta", "x"])) == "x.yaml:5:3"


def test_json_files() -> None:
    assert read('{"a": [1, 2.5, null, "yes"],\t"b": {}}', "x.json") == {"a": [1, 2.5, None, "yes"], "b": {}}
    assert fault('{"a": 1,\n "b" 2}', "x.json").render() == (
        "x.json:2:6: error: invalid JSON: Expecting ':' delimiter\n   \"b\" 2}\n       ^"
    )
    assert 'key "a" is given twice' in str(fault('{"a": 1, "a": 2}', "x.json"))
    assert "NaN" in str(fault('{"a": NaN}', "x.json"))
    assert "nested too deeply" in str(fault("[" * 100_000, "x.json"))


@given(st.text(max_size=60))
def test_any_text_gives_a_value_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(text.encode("utf-8", "surrogatepass"), "x.yaml")
