"""Cases that found a bug of the runtime once (docs/internals/simulation-findings.md)."""

from __future__ import annotations

from fuzz.actors.search import Case


def test_room_is_passed_on() -> None:
    # A sender waited for room in an empty mailbox: the room was offered to another, whose message took none.
    case = Case.parse(
        '1 0 {"roles":[{"script":[["spawn","spawn_monitored",2,"app:two",0,""]],"ending":"serve"},{"script":['
        '["send",0,"a"],["send",1,"a"],["send",3,"a"]],"ending":"serve"}],"roots":[[2,"app:two"],[2,"app:two"'
        '],[1,"app:two"]],"mailbox":1}'
    )
    assert case.run().message == ""
