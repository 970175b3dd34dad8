from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.core.errors import InvalidError
from wippy_trio.text.jsonschema import MAX_PROBLEMS, compile_schema

#: (schema, valid values, invalid values)
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (True, [1, None], []),
    (False, [], [1]),
    ({"type": "integer"}, [1, 1.0], [1.5, "1", True, None]),
    ({"type": ["string", "null"]}, ["a", None], [1]),
    ({"enum": [1, "a", [1]]}, [1, 1.0, "a", [1]], [True, 2, []]),
    ({"const": {"a": 1}}, [{"a": 1.0}], [{"a": True}, {}]),
    ({"minimum": 1, "exclusiveMaximum": 5}, [1, 4.9, "x"], [0, 5]),
    ({"multipleOf": 0.1}, [0.3, 1], [0.35]),
    ({"minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"}, ["ab", "abc", 5], ["a", "abcd", "AB"]),
    ({"minItems": 1, "maxItems": 2, "uniqueItems": True}, [[1], [1, True]], [[], [1, 2, 3], [1, 1.0], [{}, {}]]),
    ({"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, [[1, "a"], []], [["a"], [1, 2]]),
    ({"contains": {"type": "integer"}, "maxContains": 1}, [[1, "a"]], [["a"], [1, 2]]),
    ({"properties": {"a": {"type": "integer"}}, "additionalProperties": False}, [{"a": 1}, {}], [{"b": 1}, {"a": "x"}]),
    ({"patternProperties": {"^x": {"type": "integer"}}}, [{"x1": 1, "y": "a"}], [{"x1": "a"}]),
    ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
    ({"required": ["a"], "minProperties": 2}, [{"a": 1, "b": 2}, []], [{"b": 1, "c": 2}, {"a": 1}]),
    ({"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 1}, {}], [{"a": 1}]),
    ({"dependentSchemas": {"a": {"required": ["b"]}}}, [{"b": 1}], [{"a": 1}]),
    ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, [2], [0, 4]),
    ({"anyOf": [{"type": "string"}, {"minimum": 3}]}, ["a", 3], [1]),
    ({"oneOf": [{"minimum": 1}, {"maximum": 3}]}, [0, 4], [2]),
    ({"not": {"type": "string"}}, [1], ["a"]),
    ({"if": {"minimum": 5}, "then": {"multipleOf": 5}, "else": {"type": "integer"}}, [10, 3], [7, 3.5]),
    ({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}, [[1]], [["a"]]),
    ({"type": "object", "properties": {"next": {"$ref": "#"}}}, [{"next": {"next": {}}}], [{"next": {"next": 1}}]),
    ({"$defs": {"a": {"$anchor": "here", "type": "string"}}, "$ref": "#here"}, ["x"], [1]),
    (
        {"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False},
        [{"a": 1}],
        [{"a": 1, "b": 2}],
    ),
    ({"prefixItems": [True], "unevaluatedItems": False}, [[1]], [[1, 2]]),
    ({"format": "email"}, ["not an email"], []),
]


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES)
def test_keywords(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    compiled = compile_schema(schema)
    assert [value for value in valid if compiled.problems(value)] == []
    assert [value for value in invalid if not compiled.problems(value)] == []


def test_problems_name_the_place() -> None:
    schema = compile_schema({"properties": {"a/b": {"items": {"type": "integer"}}}})
    assert schema.problems({"a/b": [1, "x"]}) == [("/a~1b/1", "value is string but should be integer")]
    assert len(compile_schema({"items": False}).problems([0] * 100)) == MAX_PROBLEMS


@pytest.mark.parametrize(
    "schema",
    [
        5,
        [],
        {"type": "odd"},
        {"properties": []},
        {"minLength": -1},
        {"pattern": "("},
        {"items": {"allOf": 1}},
        {"$ref": 5},
    ],
)
def test_bad_schemas(schema: Any) -> None:
    with pytest.raises(InvalidError):
        compile_schema(schema)


@pytest.mark.parametrize("reference", ["#/nowhere", "#nobody", "https://example.com/schema", "#"])
def test_bad_references(reference: str) -> None:
    with pytest.raises(InvalidError):
        compile_schema({"$ref": reference}).problems(1)
