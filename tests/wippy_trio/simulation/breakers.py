"""Sources of nondeterminism, injected into operations of modules on purpose: for tests of `check-determinism`.

Run in a process of its own: `install(name)` replaces the handler of `uuid.v4` (or `store.key.get`, which waits) by one
that uses what the rules of the house forbid.
"""

# ruff: noqa: DTZ005, TID251, UP035
from __future__ import annotations

import datetime as dt
import gc
import os
import random
import secrets
import tempfile
import threading
import time
import uuid
from typing import Any, Callable, cast

import apsw
import attrs

from wippy_trio.app.catalogue import find_module

BREAKERS: dict[str, Callable[[], object]] = {}


def breaker(function: Callable[[], object]) -> Callable[[], object]:
    BREAKERS[function.__name__] = function
    return function


class _Thing:
    pass


@breaker
def wall_time() -> object:
    return time.time()


@breaker
def perf_counter() -> object:
    return time.perf_counter()


@breaker
def global_random() -> object:
    return random.random()


@breaker
def os_urandom() -> object:
    return os.urandom(4).hex()


@breaker
def uuid4() -> object:
    return str(uuid.uuid4())


@breaker
def secret_token() -> object:
    return secrets.token_hex(4)


@breaker
def hash_of_text() -> object:
    return hash("wippy")


@breaker
def order_of_a_set() -> object:
    return "".join({"one", "two", "three", "four", "five", "six"})


@breaker
def address_of_an_object() -> object:
    return id(_Thing())


@breaker
def order_by_address() -> object:
    things = {f"{at}": _Thing() for at in range(50)}
    return ",".join(sorted(things, key=lambda name: id(things[name]) ^ hash(name)))


@breaker
def process_id() -> object:
    return os.getpid()


@breaker
def thread_id() -> object:
    return threading.get_native_id()


@breaker
def environment_variable() -> object:
    return os.environ["PYTHONHASHSEED"]


@breaker
def name_of_a_temporary_file() -> object:
    return next(cast(Any, tempfile)._get_candidate_names())


@breaker
def today() -> object:
    return dt.datetime.now().isoformat()


@breaker
def random_of_sqlite() -> object:
    return apsw.Connection(":memory:").execute("select random()").fetchall()


@breaker
def garbage_counts() -> object:
    return f"{gc.get_count()} {len(gc.get_objects()) if hash('x') % 2 else 0} {hash('y') % 1000}"


def tell_all(asked: dict[str, Any]) -> dict[str, Any]:
    """One life for each breaker: what `checking.tell_life` says of it."""
    from wippy_trio.simulation.checking import tell_life

    told = {}
    for name in sorted(BREAKERS):
        install(name)
        told[name] = tell_life(asked)
    return told


def install(name: str, operation: str = "uuid.v4") -> None:
    """Replace the operation's handler by the breaker."""
    source = BREAKERS[name]
    module = find_module(operation.partition(".")[0])
    assert module is not None
    known = module.operations[operation]

    def at_once(call: Any, *args: Any) -> object:
        return str(source()).encode()

    async def waiting(call: Any, *args: Any) -> object:
        return str(source())

    handler = at_once if operation == "uuid.v4" else waiting
    module.operations[operation] = attrs.evolve(known, handler=handler)
