"""Where the curves of a frontier are worked out: this process, processes of this machine, or a Dask cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from importlib import import_module
from multiprocessing import active_children, get_context
from threading import current_thread, main_thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from optimizer.errors import Finding, UsageError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

SCHEDULER_PORT = 8786
"""Where a Dask scheduler listens unless told otherwise."""

_CONNECT = "10s"
_WORKERS_S = 30.0
"""How long a cluster is given to show a first worker."""


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    work: Callable[[S, T], R],
    shared: S,
    tasks: Sequence[T],
    jobs: int,
    engine: str | None,
    progress: Callable[[int, int], None],
) -> list[R]:
    """The result of ``work(shared, task)`` for every task, in order.

    What all tasks share is sent once to each worker of a cluster. A single task is quicker than a process starts.
    """
    progress(0, len(tasks))
    if engine is not None:
        finished = _on_dask(work, shared, tasks, engine)
    elif jobs == 1 or len(tasks) == 1:
        finished = ((number, work(shared, task)) for number, task in enumerate(tasks))
    else:
        finished = _in_processes(work, shared, tasks, jobs)
    done: dict[int, R] = {}
    with closing(finished):
        for number, result in finished:
            done[number] = result
            progress(len(done), len(tasks))
    return [done[number] for number in range(len(tasks))]


def _in_processes(
    work: Callable[[S, T], R], shared: S, tasks: Sequence[T], jobs: int
) -> Generator[tuple[int, R], None, None]:
    """Where this process is interrupted, those that work for it end with it, each without a word of its own."""
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        try:
            with _interrupts_ignored():  # by the processes that start here: Ctrl-C reaches them too
                running: dict[Future[R], int] = {pool.submit(work, shared, task): n for n, task in enumerate(tasks)}
            for future in as_completed(running):
                yield running[future], future.result()
        except (KeyboardInterrupt, GeneratorExit):
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Signals are the main thread's business: in another one nothing changes."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _on_dask(
    work: Callable[[S, T], R], shared: S, tasks: Sequence[T], engine: str
) -> Generator[tuple[int, R], None, None]:
    """Every worker needs this package in the version that runs here; catalogs and files travel with the tasks."""
    distributed = _distributed()
    with _client(distributed, scheduler_address(engine)) as client:
        sent = client.scatter(shared, broadcast=True, hash=False)
        running: dict[Any, int] = {client.submit(work, sent, task, pure=False): n for n, task in enumerate(tasks)}
        for future, result in distributed.as_completed(running, with_results=True):
            yield running[future], result


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError as error:
        hint = "pip install 'llm-deployment-optimizer[dask]'"
        raise UsageError([Finding("--engine dask://... needs the package distributed", hint=hint)]) from error


@contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    """A client of a cluster that has somebody to work."""
    try:
        client = distributed.Client(address, timeout=_CONNECT)
    except OSError as error:
        raise UsageError([Finding(f"no Dask scheduler answers at {address}")]) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_WORKERS_S)
        except TimeoutError as error:
            hint = f"start some: dask worker {address}"
            message = f"the Dask scheduler at {address} has no worker, also {_WORKERS_S:g} s later"
            raise UsageError([Finding(message, hint=hint)]) from error
        yield client


def scheduler_address(engine: str) -> str:
    """``dask://HOST[:PORT]`` as Dask writes it. Raises ``UsageError`` for anything else."""
    try:
        parts = urlsplit(engine)
        host, port = parts.hostname, parts.port or SCHEDULER_PORT
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    if parts.scheme != "dask" or not host or parts.path.strip("/") or parts.query:
        raise UsageError([Finding(f"{engine!r} is no engine", hint="e.g. --engine dask://scheduler.example:8786")])
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
