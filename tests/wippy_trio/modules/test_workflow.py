from __future__ import annotations

import pytest

from sandbox.errors import LuaError

# What the module does in a workflow is told by tests/wippy_trio/workflows/test_machine.py.


async def test_outside_of_a_workflow(lua):
    source = """
        local workflow = require("workflow")
        local info, err = workflow.info()
        local length, size = workflow.history_length(), workflow.history_size()
        return { info == nil, err == nil, workflow.version("x", 1, 4), length, size }
    """
    assert await lua(source, modules=["workflow"]) == [True, True, 4, 0, 0]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("exec('app:x')", "only available in a workflow"),
        ("exec('')", "workflow ID required"),
        ("exec('x')", "namespace:name required"),
        ("version('', 1, 2)", "change ID required"),
        ("version('x', 3, 2)", "cannot be greater"),
        ("attrs({})", "at least one of search or memo required"),
        ("attrs({ search = 1 })", "search must be a table"),
        ("attrs({ memo = 1 })", "memo must be a table"),
        ("attrs({ memo = { a = 1 } })", "only available in a workflow"),
        ("expose('', 1)", "key required"),
        ("expose('a', 1)", "only available in a workflow"),
    ],
)
async def test_refusals(lua, call, text):
    with pytest.raises(LuaError, match=text) as caught:
        await lua(f"return require('workflow').{call}", modules=["workflow"])
    assert caught.value.kind == "Invalid"


@pytest.mark.parametrize("call", ["exec(1)", "version(1, 1, 2)", "version('x', 1.5, 2)", "attrs(1)", "expose(1)"])
async def test_wrong_arguments_raise(lua, call):
    with pytest.raises(LuaError, match="bad argument"):
        await lua(f"require('workflow').{call}", modules=["workflow"])
