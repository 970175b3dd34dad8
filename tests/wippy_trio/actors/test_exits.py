from __future__ import annotations

from sandbox.errors import LuaError
from wippy_trio.actors.exits import ExitLog


def test_failures_are_not_washed_out_by_good_ends() -> None:
    log = ExitLog(failed_count=2, done_count=3)
    assert log.capacity == (2, 3)
    log.record(("p0", "app:x", "boss"), (1.0, 2.0), LuaError("broken" * 1_000, kind="Internal", stack="s" * 10_000))
    for number in range(1, 10):
        log.record((f"p{number}", "app:x", ""), (0.0, float(number + 2)), None)
    assert [found.pid for found in log.latest(10)] == ["p9", "p8", "p7", "p0"]
    assert [found.pid for found in log.latest(10, failed_only=True)] == ["p0"]
    assert sorted(log.pids()) == ["p0", "p7", "p8", "p9"]
    failed = log.find("p0")
    assert failed is not None
    assert (failed.kind, failed.parent, failed.started_s, failed.ended_s) == ("Internal", "boss", 1.0, 2.0)
    assert failed.error is not None
    assert (len(failed.error), len(failed.stack)) == (2_000, 8_000)
    assert log.find("p1") is None
    done = log.find("p9")
    assert done is not None
    assert done.error is None


def test_of_one_pid_the_latest_ending_counts() -> None:
    log = ExitLog()
    log.record(("p", "a:b", ""), (0.0, 1.0), None)
    log.record(("p", "a:b", ""), (1.0, 2.0), None)
    found = log.find("p")
    assert found is not None
    assert found.ended_s == 2.0
