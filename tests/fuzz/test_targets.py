"""The targets take their seeds, and for a moment damaged ones, without a finding."""

from __future__ import annotations

import pytest

from determinism.entropy import SeededEntropy
from fuzz.checks import check_http, check_wire, check_yaml
from fuzz.run import mutated, time_limit
from fuzz.targets import TARGETS, Target
from sandbox.values import pack
from wippy_trio.core.errors import InvalidError


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_seeds_and_damaged_ones(target: Target) -> None:
    entropy = SeededEntropy(5).fork(target.name)
    inputs = [*target.seeds, *(mutated(target, entropy.fork(str(number))) for number in range(15))]
    accepted = 0
    for data in inputs:
        with time_limit():
            try:
                target.run(data)
                accepted += 1
            except target.refusals:
                continue
    assert accepted


def test_requests_are_the_same_however_they_arrive() -> None:
    both = b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    check_http(b"POST / HTTP/1.1\r\nHost: x\r\n" + both)
    check_http(b"")
    check_http(b"\xff\x00\r\n\r\n")


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(InvalidError):
        check_wire(pack(["nothing", {}]))


def test_a_value_read_from_yaml_is_read_from_json() -> None:
    check_yaml(b"a: [1, 2.5, yes, ~]\nb: {c: 'x'}\n")
