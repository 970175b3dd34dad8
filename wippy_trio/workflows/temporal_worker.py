"""A worker on a Temporal task queue, for as long as its entry lives. Source: docs temporal/overview."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import trio
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkerDeploymentConfig

from wippy_trio.core.errors import InvalidError, UnavailableError
from wippy_trio.core.ids import Pid
from wippy_trio.workflows.definitions import definitions_of
from wippy_trio.workflows.host import HOSTS
from wippy_trio.workflows.machine_shard import MachineShard
from wippy_trio.workflows.temporal_activities import Activities
from wippy_trio.workflows.temporal_client import TemporalClient
from wippy_trio.workflows.temporal_commands import Route
from wippy_trio.workflows.temporal_config import WorkerConfig, WorkerOptions
from wippy_trio.workflows.temporal_host import TemporalHost
from wippy_trio.workflows.temporal_loop import HereExecutor, Loop, open_loop
from wippy_trio.workflows.temporal_outbox import Outbox
from wippy_trio.workflows.temporal_run import AnyWorkflow, LuaRunner

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime

__all__ = ["open_worker", "worker_settings"]

_BEAT_S = 20.0
_BUILD = "wippy-trio"
_STOP_S = 10.0
_POLL_S = 0.005
#: Options that the Go SDK has and Temporal's core, on which Python's stands, has not.
_WITHOUT_EFFECT = (
    "worker_local_activities_per_second",
    "enable_session_worker",
    "enable_logging_in_replay",
    "disable_registration_aliasing",
)


def worker_settings(options: WorkerOptions) -> dict[str, Any]:
    """Worker options as arguments of the SDK's worker.

    Raises:
        InvalidError: versioning without the names it needs.
    """
    settings: dict[str, Any] = {
        "identity": options.identity or None,
        "max_concurrent_workflow_tasks": max(options.workflow_tasks_count, 2),  # one is kept for sticky tasks
        "max_concurrent_activities": options.activities_count,
        "max_concurrent_local_activities": options.local_activities_count,
        "workflow_task_poller_behavior": PollerBehaviorSimpleMaximum(options.workflow_pollers_count),
        "activity_task_poller_behavior": PollerBehaviorSimpleMaximum(options.activity_pollers_count),
        "max_activities_per_second": options.worker_activities_per_second or None,
        "max_task_queue_activities_per_second": options.task_queue_activities_per_second or None,
        "sticky_queue_schedule_to_start_timeout": timedelta(seconds=options.sticky_schedule_to_start_s),
        "graceful_shutdown_timeout": timedelta(seconds=options.worker_stop_s),
        "no_remote_activities": options.local_activity_worker_only,
        "disable_eager_activity_execution": options.disable_eager_activities,
    }
    if options.eager_activities_count:
        settings["max_eager_activity_reservations_per_workflow_task"] = options.eager_activities_count
    if options.max_heartbeat_throttle_s:
        settings["max_heartbeat_throttle_interval"] = timedelta(seconds=options.max_heartbeat_throttle_s)
    if options.default_heartbeat_throttle_s:
        settings["default_heartbeat_throttle_interval"] = timedelta(seconds=options.default_heartbeat_throttle_s)
    if not options.use_versioning:
        # Without one the SDK hashes every module of the program to make one up.
        return {**settings, "build_id": options.build_id or _BUILD}
    if not options.deployment_name or not options.build_id:
        raise InvalidError("use_versioning needs deployment_name and build_id")
    behavior = {"": VersioningBehavior.PINNED, "pinned": VersioningBehavior.PINNED}.get(
        options.default_versioning, VersioningBehavior.AUTO_UPGRADE
    )
    version = WorkerDeploymentVersion(options.deployment_name, options.build_id)
    return {**settings, "deployment_config": WorkerDeploymentConfig(version, True, behavior)}


def _route(runtime: Runtime, host: TemporalHost) -> Route:
    definitions = definitions_of(runtime.extras)

    def other(text: str) -> TemporalHost | None:
        found = runtime.extras.get(HOSTS, {}).get(text)
        return found if isinstance(found, TemporalHost) else None

    def type_of(name: str) -> str:
        found = definitions.named(name)
        return name if found is None else found.name

    def queue_of(name: str) -> tuple[str, str]:
        found = other(name)
        return (name, "") if found is None else (found.task_queue, str(found.id))

    def is_workflow(pid: Pid) -> bool:
        found = other(pid.host)
        return found is not None and found.client.config.id == host.client.config.id

    return Route(type_of, queue_of, is_workflow, Outbox(runtime, host).send)


def _make(config: WorkerConfig, runtime: Runtime, host: TemporalHost, shard: MachineShard) -> Worker:
    options = config.options
    activities = Activities(runtime, config.id, host.client, options.default_heartbeat_throttle_s or _BEAT_S)
    runner = LuaRunner(runtime, shard, host.client.config.id, config.id, _route(runtime, host))
    executor = HereExecutor()
    worker = Worker(
        host.client.sdk,
        task_queue=host.task_queue,
        activities=[activities.dynamic()],
        workflows=[] if options.disable_workflow_worker else [AnyWorkflow],
        activity_executor=executor,
        workflow_task_executor=executor,
        workflow_runner=runner,
        unsandboxed_workflow_runner=runner,
        interceptors=[activities],
        **worker_settings(options),
    )
    inner: Any = getattr(worker, "_workflow_worker", None)
    if inner is not None:
        # The SDK fails a task that takes 2 s, also when a busy node let it wait so long; our own budget ends loops.
        inner._deadlock_timeout_seconds = options.deadlock_detection_s or None  # noqa: SLF001 - it has no setting
    return worker


@asynccontextmanager
async def open_worker(config: WorkerConfig, runtime: Runtime, client: TemporalClient) -> AsyncIterator[TemporalHost]:
    """Poll a task queue for the duration of the block; what is yielded starts and reaches workflows.

    Cancelled, the worker takes no more tasks, lets activities end for `worker_stop_timeout`, then cancels them.

    Raises:
        UnavailableError: the worker could not start, or failed.
    """
    for name in _WITHOUT_EFFECT:
        if getattr(config.options, name):
            runtime.log.warn("option has no effect in Temporal's SDK for Python", worker=str(config.id), option=name)
    host = TemporalHost(config, runtime, client)
    shard = MachineShard(runtime.engine, str(config.id), runtime.engine.limits.memory_bytes)
    leave, left = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_hold, lambda: _make(config, runtime, host, shard), config, (leave, left))
        await nursery.start(host.run)
        try:
            yield host
        finally:
            leave.set()
            with trio.CancelScope(shield=True):
                await left.wait()
            nursery.cancel_scope.cancel()


async def _hold(
    make: Callable[[], Worker],
    config: WorkerConfig,
    events: tuple[trio.Event, trio.Event],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The worker and its loop, out of reach of what cancels the entry: it is asked to stop, and then made to."""
    leave, left = events
    try:
        with trio.CancelScope() as scope:
            async with open_loop() as loop, trio.open_nursery() as nursery:
                worker = make()
                nursery.start_soon(_run, loop, worker, config)
                while not worker.is_running:  # noqa: ASYNC110 - the SDK has no event for it
                    await trio.sleep(_POLL_S)
                task_status.started()
                await trio.lowlevel.checkpoint_if_cancelled()
                scope.shield = True
                await leave.wait()
                with trio.move_on_after(config.options.worker_stop_s + _STOP_S):
                    await loop.run(worker.shutdown)
                nursery.cancel_scope.cancel()
    finally:
        left.set()


async def _run(loop: Loop, worker: Worker, config: WorkerConfig) -> None:
    try:
        await loop.run(worker.run)
    except (RuntimeError, RPCError) as problem:
        cause = problem.__cause__ or problem
        raise UnavailableError(f"temporal worker {config.id} failed: {cause}") from problem
