"""Who is below whom: services, supervisors, and processes below the one that started them. Source: ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from wippy_trio.actors.supervisor import Supervisor
from wippy_trio.actors.tree import Tree

if TYPE_CHECKING:
    from wippy_trio.actors.inspect import Row
    from wippy_trio.runtime import Runtime

__all__ = ["forest"]


def forest(runtime: Runtime, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The trees of a node: its services, then processes that nobody who still runs has started.

    A service is `{service, state, restarts, children}`; a process is a `Row` as a dict with `children`, and `child`
    where a supervisor knows it by that name; a child that does not run is `{child, state, restarts, error,
    children}`.
    """
    nodes = {row.pid: {**attrs.asdict(row), "children": []} for row in rows}
    tops: dict[str, dict[str, Any]] = {}
    supervisor = runtime.extras.get("supervisor")
    for service in supervisor.all() if isinstance(supervisor, Supervisor) else ():
        tops[str(service.id)] = {
            "service": str(service.id),
            "state": str(service.state),
            "restarts": service.restarts,
            "children": [],
        }
    for pid in nodes:
        participant = runtime.processes.find(pid)
        if isinstance(participant, Tree):
            _place_children(participant, nodes)
    loose: list[dict[str, Any]] = []
    for node in nodes.values():
        if "child" in node:
            continue
        above = nodes.get(node["parent"]) or tops.get(node["parent"])
        (above["children"] if above is not None and above is not node else loose).append(node)
    return [*tops.values(), *loose]


def _place_children(tree: Tree, nodes: dict[str, dict[str, Any]]) -> None:
    """The children of a supervisor in its order, those that do not run too."""
    below = nodes[tree.pid]["children"]
    for child in tree.which_children():
        pid = child.get("pid")
        if pid is None:
            stopped = {"child": child["id"], "state": child["state"], "restarts": child["restarts"], "children": []}
            below.append({**stopped, "error": child.get("error")})
        elif pid in nodes:
            nodes[pid]["child"] = child["id"]
            below.append(nodes[pid])
