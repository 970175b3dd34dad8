"""The plain Temporal SDK for Python on the same server: workflows of three activities, for comparison."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker


@activity.defn
async def step(x: int) -> int:
    """An activity that does nothing."""
    return x


@workflow.defn
class Order:
    """Three activities, one after the other."""

    @workflow.run
    async def run(self, n: int) -> int:
        limit = timedelta(seconds=10)
        for _ in range(3):
            n = await workflow.execute_activity(step, n, start_to_close_timeout=limit)
        return n


async def _run(address: str, count: int, at_once: int) -> float:
    client = await Client.connect(address)
    async with Worker(client, task_queue="bench-sdk", workflows=[Order], activities=[step]):

        async def one(n: int) -> None:
            await client.execute_workflow(Order.run, n, id=str(uuid.uuid4()), task_queue="bench-sdk")

        await asyncio.gather(*(one(n) for n in range(10)))
        began_s = time.perf_counter()
        for _ in range(count // at_once):
            await asyncio.gather(*(one(n) for n in range(at_once)))
        return count / (time.perf_counter() - began_s)


def orders_per_second(address: str, count: int = 300, at_once: int = 50) -> float:
    """Workflows per second, `at_once` of them open at a time."""
    return asyncio.run(_run(address, count, at_once))
