"""Replay of histories that a Temporal server recorded: does the code of this app still do what they say?

Core's own replayer does the work, with the step machine as its workflows; no server is asked. Source: docs
temporal/workflows (Determinism).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import attrs
from google.protobuf.json_format import Error as ProtobufError
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from wippy_trio.core.errors import InternalError, InvalidError, NotFoundError
from wippy_trio.core.ids import EntryId, Pid
from wippy_trio.workflows.definitions import Definition, definitions_of
from wippy_trio.workflows.machine_shard import MachineShard
from wippy_trio.workflows.temporal_commands import Route
from wippy_trio.workflows.temporal_config import WorkerConfig
from wippy_trio.workflows.temporal_convert import CONVERTER
from wippy_trio.workflows.temporal_log import sdk_log
from wippy_trio.workflows.temporal_loop import HereExecutor, open_loop
from wippy_trio.workflows.temporal_run import AnyWorkflow, LuaRunner

if TYPE_CHECKING:
    from wippy_trio.core.entry import Entry
    from wippy_trio.runtime import Runtime

__all__ = ["TemporalReplay", "replay_temporal"]


@attrs.frozen(slots=True)
class TemporalReplay:
    """What came of a replay.

    Attributes:
        workflow_type: type of the workflow.
        events_count: of the history.
        problem: how the code differs from the record, in core's words; empty when it does not.
        now: commands of the step that differs, with the Lua lines they come from.
    """

    workflow_type: str
    events_count: int
    problem: str = ""
    now: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the code does what the history says."""
        return not self.problem


async def replay_temporal(runtime: Runtime, text: str | bytes, workflow_id: str = "replay") -> TemporalReplay:
    """Replay a history exported as JSON (`temporal workflow show -o json`, or the SDK's) with the app's current code.

    Args:
        runtime: of the app.
        text: the history.
        workflow_id: what `workflow.info` tells where the history, of an old server, does not.

    Raises:
        InvalidError: it is no history.
        NotFoundError: the app has no workflow of that type.
        InternalError: the replay could not be done.
    """
    history = _parse(workflow_id, text)
    started = history.events[0].workflow_execution_started_event_attributes
    type_ = started.workflow_type.name
    history = WorkflowHistory(started.workflow_id or workflow_id, history.events)
    definition = definitions_of(runtime.extras).named(type_)
    if definition is None:
        raise NotFoundError(f"workflow not found: {type_}")
    runner = _runner(runtime, definition)
    with sdk_log(runtime.log):
        async with open_loop() as loop:
            result = await loop.run(_replayed, runner, history)
    failure = result.replay_failure
    if failure is not None and not isinstance(failure, NondeterminismError):
        raise InternalError(f"the history could not be replayed: {'; '.join(runner.failures) or failure}") from failure
    problem = "" if failure is None else _plain(str(failure))
    return TemporalReplay(type_, len(history.events), problem, tuple(runner.lines) if problem else ())


async def _replayed(runner: LuaRunner, history: WorkflowHistory) -> Any:
    replayer = Replayer(
        workflows=[AnyWorkflow],
        workflow_task_executor=HereExecutor(),
        workflow_runner=runner,
        unsandboxed_workflow_runner=runner,
        data_converter=CONVERTER,
        build_id="wippy-trio",
    )
    return await replayer.replay_workflow(history, raise_on_replay_failure=False)


def _plain(text: str) -> str:
    """Core's sentence, out of the dump of the failure around it."""
    found = re.search(r'Nondeterminism error: ((?:[^"\\]|\\.)+)', text)
    return found[1].replace('\\"', '"').replace("\\'", "'") if found else text


def _parse(workflow_id: str, text: str | bytes) -> WorkflowHistory:
    try:
        history = WorkflowHistory.from_json(workflow_id, json.loads(text))
    except (AttributeError, KeyError, TypeError, ValueError, ProtobufError) as problem:
        raise InvalidError(f"not a history of Temporal: {problem}") from problem
    if not history.events or not history.events[0].HasField("workflow_execution_started_event_attributes"):
        raise InvalidError("not a history of Temporal: it does not begin with the start of a workflow")
    return history


def _runner(runtime: Runtime, definition: Definition) -> LuaRunner:
    shard = MachineShard(runtime.engine, f"replay/{definition.entry.id}", runtime.engine.limits.memory_bytes)
    worker = definition.worker or EntryId("", "replay")
    config = _worker(runtime, str(worker))
    return LuaRunner(runtime, shard, worker if config is None else config.client, worker, _route(runtime))


def _worker(runtime: Runtime, text: str) -> WorkerConfig | None:
    """Configuration of a worker's entry, whether or not it runs."""
    try:
        entry: Entry = runtime.registry.get(EntryId.parse(text))
        return WorkerConfig.parse(entry) if entry.kind == "temporal.worker" else None
    except (NotFoundError, InvalidError):
        return None


def _route(runtime: Runtime) -> Route:
    """What names mean, by the entries: nothing runs, and nothing is sent."""
    definitions = definitions_of(runtime.extras)

    def type_of(name: str) -> str:
        found = definitions.named(name)
        return name if found is None else found.name

    def queue_of(name: str) -> tuple[str, str]:
        config = _worker(runtime, name)
        return (name, "") if config is None else (config.task_queue, str(config.id))

    def is_workflow(pid: Pid) -> bool:
        return _worker(runtime, pid.host) is not None

    def send(source: str, destination: str, topic: str, payloads: bytes) -> None:
        del source, destination, topic, payloads

    return Route(type_of, queue_of, is_workflow, send)
