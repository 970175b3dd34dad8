"""Programs of actors: roles with a list of operations each, drawn from a seed, and changed a little.

An operation is a list: its name and arguments, as actor.lua has them. A role spawns only roles after its own, so that
every program comes to an end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from determinism.entropy import SeededEntropy

__all__ = ["HOSTS", "Program", "Role", "make_program", "mutate_program"]

Op = list[Any]
HOSTS = ("app:one", "app:two")
TOPICS = ("a", "b", "c")
VIAS = ("inbox", "events", "a", "b")
ENDINGS = ("serve", "serve", "serve", "return", "fail")
SPAWNS = ("spawn", "spawn_monitored", "spawn_linked", "spawn_linked_monitored")
MAILBOXES = (65_536, 65_536, 65_536, 1, 3)
_ROLES, _OPS, _ROOTS = 5, 9, 4
_FORK_OPS = ("send", "send", "sleep", "monitor", "unmonitor", "link", "unlink", "cancel", "register", "lookup", "bump")
_OPS_DRAWN = (
    *("send",) * 8,
    *("wait",) * 7,
    *("spawn",) * 5,
    *("monitor", "link", "register", "listen", "sleep") * 2,
    *("unmonitor", "unlink", "terminate", "cancel", "trap", "lookup", "unregister", "exec", "upgrade", "fork", "fail"),
    *("lock", "unlock", "bump", "bump"),
)


@attrs.frozen(slots=True)
class Role:
    """What an actor does: operations, then `serve` (until it is canceled), `return` or `fail`."""

    script: tuple[Op, ...]
    ending: str = "serve"


@attrs.frozen(slots=True)
class Program:
    """Roles, roots (role from 1, host) that are there at first, and how many messages a mailbox holds."""

    roles: tuple[Role, ...]
    roots: tuple[tuple[int, str], ...]
    mailbox: int = 65_536

    def data(self) -> dict[str, Any]:
        """As the Lua side reads it."""
        roles = [{"script": list(role.script), "ending": role.ending} for role in self.roles]
        return {"roles": roles, "roots": [list(root) for root in self.roots], "mailbox": self.mailbox}

    def text(self) -> str:
        """One line, for a corpus or a test."""
        return json.dumps(self.data(), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Program:
        """What `text` made."""
        data = json.loads(text)
        roles = tuple(Role(tuple(role["script"]), role["ending"]) for role in data["roles"])
        return cls(roles, tuple((number, host) for number, host in data["roots"]), data["mailbox"])

    @property
    def size(self) -> int:
        """Roots and operations, for shrinking."""
        return len(self.roots) + sum(1 + len(role.script) for role in self.roles)


def _one(entropy: SeededEntropy, choices: Sequence[Any]) -> Any:
    return choices[entropy.below(len(choices))]


def _dest(entropy: SeededEntropy) -> int:
    return 100 + entropy.below(2) if entropy.below(6) == 0 else entropy.below(6)


def _op(entropy: SeededEntropy, role: int, roles: int, names: Sequence[str] = _OPS_DRAWN) -> Op:
    """One operation of role number `role` (from 1)."""
    name = _one(entropy, names)
    if name in {"spawn", "exec"} and role >= roles:
        name = "send"
    match name:
        case "send":
            return [name, _dest(entropy), _one(entropy, TOPICS)]
        case "wait":
            vias = [_one(entropy, VIAS) for _ in range(1 + entropy.below(3))]
            return [name, _one(entropy, (0, 0, 1, 20, 200)), *vias]
        case "spawn":
            to, host = role + 1 + entropy.below(roles - role), _one(entropy, HOSTS)
            named = 1 - entropy.below(2) if entropy.below(4) == 0 else 0
            topic = _one(entropy, TOPICS) if entropy.below(4) == 0 else ""
            return [name, _one(entropy, SPAWNS), to, host, named, topic]
        case "exec":
            return [name, role + 1 + entropy.below(roles - role), _one(entropy, HOSTS)]
        case "listen":
            return [name, _one(entropy, ("a", "b"))]
        case "register":
            return [name, entropy.below(2), entropy.below(8) - 1 if entropy.below(3) == 0 else -1]
        case "lookup" | "unregister" | "lock" | "unlock" | "bump":
            return [name, entropy.below(2)]
        case "sleep":
            return [name, _one(entropy, (1, 5, 20, 100))]
        case "trap":
            return [name, 1 if entropy.below(3) else 0]
        case "fork":
            return [name, [_op(entropy, role, roles, _FORK_OPS) for _ in range(1 + entropy.below(3))]]
        case "upgrade":
            return [name]
        case "fail":
            return [name, entropy.below(9)] if entropy.below(3) == 0 else ["wait", 20, "events", "inbox"]
    return [name, _dest(entropy)]


def make_program(entropy: SeededEntropy) -> Program:
    """A program drawn from `entropy`."""
    count = 2 + entropy.below(_ROLES - 1)
    roles = []
    for number in range(1, count + 1):
        script = [_op(entropy, number, count) for _ in range(1 + entropy.below(_OPS))]
        roles.append(Role(tuple(script), _one(entropy, ENDINGS)))
    roots = [(1 + entropy.below(count), _one(entropy, HOSTS)) for _ in range(1 + entropy.below(_ROOTS))]
    return Program(tuple(roles), tuple(roots), _one(entropy, MAILBOXES))


def mutate_program(program: Program, entropy: SeededEntropy, other: Program | None = None) -> Program:
    """The same with a few changes; `other` lends a script."""
    roles, roots = list(program.roles), list(program.roots)
    mailbox, count = program.mailbox, len(program.roles)
    for _ in range(1 + entropy.below(3)):
        at = entropy.below(count)
        script: list[Op] = list(roles[at].script)
        place = entropy.below(len(script) + 1)
        match entropy.below(9):
            case 0 | 1 | 2:
                script.insert(place, _op(entropy, at + 1, count))
            case 3 | 4:
                script[place : place + 1] = [_op(entropy, at + 1, count)]
            case 5:
                del script[place : place + 1]
            case 6:
                roles[at] = attrs.evolve(roles[at], ending=_one(entropy, ENDINGS))
            case 7:
                roots[entropy.below(len(roots) + 1) :] = [(1 + entropy.below(count), _one(entropy, HOSTS))]
                mailbox = _one(entropy, MAILBOXES)
            case _:
                lent = [op for op in other.roles[-1].script if op[0] not in {"spawn", "exec"}] if other else []
                script[place:place] = lent[:3]
        roles[at] = attrs.evolve(roles[at], script=tuple(script[: _OPS + 4]))
    return Program(tuple(roles), tuple(roots), mailbox)
