"""The app: everything put together, inside any trio program's nursery.

`open_app` is the door for a program around it:

    async with wippy_trio.open_app("path/to/app") as app:
        result = await app.call("app:function", 1, 2)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from determinism.seams import Environment
from determinism.system import system_environment
from sandbox.values import pack_list
from wippy_trio.actors.engine import Engine, Limits
from wippy_trio.actors.host import ProcessHost, SpawnOptions
from wippy_trio.actors.supervisor import Service, Supervisor, only_error
from wippy_trio.actors.topology import Topology
from wippy_trio.actors.tree_spec import PATTERNS as SUPERVISED
from wippy_trio.app.catalogue import ALWAYS, find_module
from wippy_trio.app.config import Config, ConfigFlags, load_config, load_project, process_environment
from wippy_trio.app.prometheus import serve_metrics
from wippy_trio.app.realize import Realizer
from wippy_trio.app.tracing import install_observers
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, LuaError, NotFoundError
from wippy_trio.core.frame import EMPTY_FRAME, Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import parse_size_bytes
from wippy_trio.functions.calls import FunctionCalls
from wippy_trio.observability.bus import EventBus
from wippy_trio.observability.log import LogCore
from wippy_trio.observability.metrics import Metrics
from wippy_trio.registry.references import References
from wippy_trio.registry.registry import Registry
from wippy_trio.runtime import Resources, Runtime
from wippy_trio.security.scope import Access

if TYPE_CHECKING:
    from wippy_trio.actors.mailbox import Mailbox, TopicChannel
    from wippy_trio.workflows.host import WorkflowHost

__all__ = ["App", "open_app", "open_entries"]

_SHUTDOWN_S = 30.0


class App:
    """A running app. Made by `open_app`."""

    def __init__(self, runtime: Runtime, supervisor: Supervisor, config: Config) -> None:
        self.runtime = runtime
        self.supervisor = supervisor
        self.config = config
        #: Set by `system.exit` and by the end of a command: the node should stop with `exit_code`.
        self.exit_requested = trio.Event()
        self.exit_code = 0
        #: What loading found amiss without refusing it (unreadable files, duplicates, open requirements).
        self.problems: tuple[ConfigError, ...] = ()
        #: Services that did not start at their first attempt.
        self.failed: list[tuple[EntryId, LuaError]] = []

    @property
    def registry(self) -> Registry:
        """The entry registry."""
        registry: Registry = self.runtime.registry
        return registry

    async def call(self, id: str | EntryId, *args: Any, frame: Frame = EMPTY_FRAME) -> Any:
        """Call a function.

        Args:
            id: `namespace:name`.
            args: Lua-like values (None, bool, int, float, str, bytes, list, dict).
            frame: identity and context values of the caller.

        Raises:
            LuaError: the function's error.
        """
        return await self.runtime.functions.call(_id(id), list(args), frame)

    async def spawn(self, id: str | EntryId, host: str | EntryId, *args: Any, frame: Frame = EMPTY_FRAME) -> str:
        """Start a process, or a workflow where `host` is a worker of workflows; returns its PID.

        Args:
            id: what runs.
            host: where.
            args: Lua-like values.
            frame: identity, context values and, for workflows, `options` of the start (docs/guides/temporal.md).

        Raises:
            LuaError: no such process or host, or the host refuses.
        """
        where = self._host(host)
        if isinstance(where, ProcessHost):
            await trio.lowlevel.checkpoint()
            return where.spawn(_id(id), args, frame, SpawnOptions())
        return await where.spawn(_id(id), args, frame, SpawnOptions())

    async def run(self, id: str | EntryId, host: str | EntryId, *args: Any, frame: Frame = EMPTY_FRAME) -> Any:
        """Start a process, wait for its end and return its result; cancelling ends a process, but no workflow."""
        return await self._host(host).execute(_id(id), args, frame, SpawnOptions())

    def _host(self, host: str | EntryId) -> ProcessHost | WorkflowHost:
        found: WorkflowHost | None = self.runtime.extras.get("workflow_hosts", {}).get(str(host))
        return found or self.runtime.resources.get(_id(host), ProcessHost, "host")

    def send(self, destination: str, topic: str, *payloads: Any) -> None:
        """Send a message to a PID or a registered name; to a workflow in the background.

        Raises:
            LuaError: an unknown name, or a full mailbox.
        """
        hosts = self.runtime.extras.get("workflow_hosts")
        if hosts:
            from wippy_trio.workflows.host import find_host

            found = find_host(hosts, self.runtime.processes.resolve(destination))
            if found is not None:
                found[0].in_background(found[0].signal, found[1], topic, pack_list(payloads))
                return
        self.runtime.processes.send(destination, topic, "", pack_list(payloads))

    def mailbox(self, name: str = "", *, capacity: int = 1_024) -> Mailbox:
        """A participant for a trio task: `async with app.mailbox("name") as mailbox: async for message in mailbox:`.

        Args:
            name: registered for as long as the block runs; empty for none.
            capacity: messages it holds before senders wait.

        Raises:
            InvalidError: a capacity below 1.
        """
        from wippy_trio.actors.mailbox import Mailbox

        return Mailbox(self.runtime, name, capacity=capacity)

    def channel_to(self, destination: str, topic: str) -> TopicChannel:
        """A trio `SendChannel` into the mailbox of a PID or of whoever holds a name; sending waits for room.

        Raises:
            InvalidError: an empty or reserved topic.
        """
        from wippy_trio.actors.mailbox import TopicChannel

        return TopicChannel(self.runtime.processes, destination, topic)

    def serve_address(self, id: str | EntryId) -> str:
        """`host:port` that an http.service listens on (the real port where 0 was asked for).

        Raises:
            NotFoundError: it does not run.
        """
        entry = _id(id)
        for found, resource in self.runtime.resources.all(object):
            if found == entry and isinstance(getattr(resource, "address", None), str):
                return str(resource.address)  # type: ignore[attr-defined]
        raise NotFoundError(f"no http.service runs as {entry}")

    def request_exit(self, code: int) -> None:
        """Ask the node to stop; the first code counts."""
        if not self.exit_requested.is_set():
            self.exit_code = code
            self.exit_requested.set()


def _id(id_: str | EntryId) -> EntryId:
    return EntryId.parse(id_) if isinstance(id_, str) else id_


@asynccontextmanager
async def open_app(
    path: str = ".",
    *,
    overrides: Sequence[str] = (),
    settings: Sequence[str] = (),
    environment: Environment | None = None,
    env: Mapping[str, str] | None = None,
    auto_start: bool = True,
) -> AsyncIterator[App]:
    """Load the app in a directory and run it for the duration of the block.

    Args:
        path: the project's directory.
        overrides: `namespace:entry:field=value`, as `-o`.
        settings: `section.path=value`, as `--set`.
        environment: the seams; the live ones unless given.
        env: environment variables; the process's unless given.
        auto_start: start services that say so.

    Raises:
        ConfigError: a file, setting or override is wrong.
        LuaError: an entry was refused.
    """
    seams = environment or system_environment()
    variables = process_environment() if env is None else env
    flags = ConfigFlags(sets=tuple(settings), overrides=tuple(overrides))
    config = load_config(path, flags, disk=seams.disk, env=variables)
    project = load_project(config, seams.disk)
    async with open_entries(
        project.entries, config=config, environment=seams, auto_start=auto_start, module_roots=project.module_roots
    ) as app:
        app.problems = project.problems
        yield app


@asynccontextmanager
async def open_entries(
    entries: Iterable[Entry],
    *,
    config: Config | None = None,
    environment: Environment | None = None,
    auto_start: bool = True,
    log: LogCore | None = None,
    module_roots: Mapping[str, str] | None = None,
) -> AsyncIterator[App]:
    """Run the given entries as an app (see `open_app`).

    One error raised in the block leaves it as itself, not as a group of one.
    """
    try:
        async with _open(entries, config, environment, log, auto_start=auto_start, module_roots=module_roots) as app:
            yield app
    except BaseExceptionGroup as group:
        error = only_error(group)
        if error is group:
            raise
        raise error from error.__cause__  # the group adds nothing, and the cause must stay


@asynccontextmanager
async def _open(
    entries: Iterable[Entry],
    config: Config | None,
    environment: Environment | None,
    log: LogCore | None,
    *,
    auto_start: bool,
    module_roots: Mapping[str, str] | None,
) -> AsyncIterator[App]:
    settings = config or Config(project_dir="/", config_dir="/")
    seams = environment or system_environment()
    metrics = Metrics()
    core = log or LogCore(seams.clock, metrics=metrics)
    bus = EventBus(core.log("events"))
    listening = core.connect(bus)
    supervisor = Supervisor(seams, lambda service: _report(bus, service))
    engine = Engine(seams, find_module, ALWAYS, _limits(settings))
    topology = Topology(seams.clock)
    resources = Resources()
    functions = FunctionCalls(engine, topology, resources)
    references = References().with_patterns(_PATTERNS)
    async with trio.open_nursery() as nursery:
        parts: dict[str, Any] = {}
        registry = Registry(_Late(parts), references=references, on_event=bus.publish)
        runtime = Runtime(
            environment=seams,
            node=settings.get_str("relay.node_name", "local"),
            resources=resources,
            access=_access(settings, core),
            events=bus,
            log=core.log(),
            metrics=metrics,
            config=settings,
            registry=registry,
            functions=functions,
            processes=topology,
            engine=engine,
            extras={
                "environ": dict(settings.env),
                "supervisor": supervisor,
                "log_core": core,
                "module_roots": dict(module_roots or {}),
                "nursery": nursery,
            },
        )
        app = App(runtime, supervisor, settings)
        runtime.extras["request_exit"] = app.request_exit
        engine.bind(runtime, nursery)
        supervisor.bind(nursery)
        install_observers(runtime, functions, settings, nursery)
        realizer = parts["realizer"] = Realizer(
            runtime, supervisor, lambda entry: references.declared(entry).ids, nursery
        )
        try:
            await functions.start()
            await serve_metrics(runtime, settings, nursery)
            await registry.load_state(entries)
            if auto_start:
                await _workflows(runtime, "prepare")
                app.failed = await realizer.start_services()
                await _workflows(runtime, "resume")
            bus.publish("app", "ready", settings.project_dir)
            yield app
        finally:
            await _close(runtime, realizer, settings.get_duration_s("shutdown.timeout", _SHUTDOWN_S))
            listening.close()
            bus.close()
            nursery.cancel_scope.cancel()
    if engine.interruption is not None:
        raise engine.interruption


def _access(settings: Config, core: LogCore) -> Access:
    return Access(
        strict=settings.get_bool("security.strict_mode", False),
        # One record per permission check: only for whoever asked for debug records in the configuration.
        report_incomplete=partial(_without_identity, core) if settings.get_str("logger.level") == "debug" else None,
    )


async def _workflows(runtime: Runtime, step: str) -> None:
    """A step of the workflow engine, where there are workflows."""
    workflows = runtime.extras.get("workflows")
    if workflows is not None:
        await getattr(workflows, step)()


async def _close(runtime: Runtime, realizer: Realizer, limit_s: float) -> None:
    """Close entries and what the app as a whole holds open, whoever cancels."""
    with trio.CancelScope(deadline=trio.current_time() + limit_s, shield=True):
        await _workflows(runtime, "aclose")
        await realizer.close_all()
        client = runtime.extras.get("http_client")
        if client is not None:
            await client.aclose()


_PATTERNS = (
    *("process", "host", "router", "meta.router", "meta.server", "server", "func", "fs", "queue", "driver"),
    *SUPERVISED,
)


def _without_identity(core: LogCore, frame: Frame, action: str, resource: str) -> None:
    core.log("security").debug("check without identity", entry=str(frame.entry), action=action, resource=resource)


def _limits(config: Config) -> Limits:
    base = Limits()
    memory = config.get_str("lua.memory_limit")
    return Limits(
        config.get_duration_s("lua.cpu_limit", base.cpu_s),
        config.get_int("lua.mailbox_size", base.mailbox_count),
        parse_size_bytes(memory) if memory else base.memory_bytes,
    )


def _report(bus: EventBus, service: Service) -> None:
    if bus.heard("service", "service.update"):
        data = {
            "id": str(service.id),
            "status": str(service.state),
            "desired": str(service.desired),
            "retry_count": service.failures,
            "details": None if service.error is None else str(service.error),
        }
        bus.publish("service", "service.update", str(service.id), data)


class _Late:
    """The realizer, which needs the runtime, which needs the registry, which needs the realizer."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self._parts = parts

    async def begin(self) -> None:
        await self._parts["realizer"].begin()

    async def create(self, entry: Entry) -> None:
        await self._parts["realizer"].create(entry)

    async def update(self, old: Entry, new: Entry) -> None:
        await self._parts["realizer"].update(old, new)

    async def delete(self, entry: Entry) -> None:
        await self._parts["realizer"].delete(entry)

    async def commit(self) -> None:
        await self._parts["realizer"].commit()

    async def rollback(self) -> None:
        await self._parts["realizer"].rollback()
