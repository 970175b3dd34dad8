"""Work for several processes at once, each of which does a few pieces and makes way for a fresh one.

What a process has kept from earlier lives (caches, counters of libraries) must not reach later ones for long; and two
simulations in one process would share what `schedule` replaces. Source: ours (design note on determinism).
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")

__all__ = ["core_count", "each_in_processes", "enter_folder", "run_python"]

_PIECES_A_PROCESS = 10


def core_count() -> int:
    """Cores that this process may use; at least 1."""
    return max(1, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def enter_folder(path: str) -> None:
    """Make `path` the folder that relative paths mean, for this whole process."""
    os.chdir(path)


def each_in_processes(
    function: Callable[[A], T],
    pieces: Iterator[A],
    jobs: int,
    take: Callable[[T], None],
    out_of_time: Callable[[], bool],
) -> bool:
    """Call `function` on each piece, in at most `jobs` processes; `take` gets the results, as they come.

    Args:
        function: of a module's top level; its argument and result can be pickled.
        pieces: asked for one at a time, as processes become free.
        jobs: how many processes at once.
        take: called here.
        out_of_time: asked before a piece is begun; those that were begun are finished.

    Returns:
        Whether pieces were left because time ran out.
    """
    context = multiprocessing.get_context("spawn")
    running: set[Future[T]] = set()
    cut_off = False
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=_PIECES_A_PROCESS) as pool:
        while True:
            while len(running) < jobs + 1 and not cut_off:
                if out_of_time():
                    cut_off = True
                    break
                try:
                    piece = next(pieces)
                except StopIteration:
                    break
                running.add(pool.submit(function, piece))
            if not running:
                return cut_off
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                take(future.result())


def run_python(code: str, given: str, hash_seed: str) -> str:
    """Run Python code in a fresh process of this interpreter.

    Args:
        code: what to run.
        given: its standard input.
        hash_seed: value of `PYTHONHASHSEED`.

    Returns:
        What it wrote to its standard output.

    Raises:
        RuntimeError: it failed; with what it wrote to standard error.
    """
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ended = subprocess.run(
        [sys.executable, "-c", code], input=given, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        message = f"the process failed: {ended.stderr.strip()}"
        raise RuntimeError(message)
    return ended.stdout
