"""Event loops as object code: the same figures as the source, found where they were built, no compiler on a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizer.demand import Lengths
from optimizer.performance.step import StepCoefficients
from optimizer.simulate import compiled, fleet_loop, loop, people_loop
from optimizer.simulate.admission import ReplicaLimits, Requests
from optimizer.simulate.compiled import (
    KERNELS,
    SOURCES,
    CompiledLoop,
    file_name,
    is_compiled,
    layout_of,
    write_object_code,
)
from optimizer.simulate.draws import first_questions, thinking
from optimizer.simulate.fleet import Outage, Talk, converse, serve
from optimizer.simulate.replay import poisson_requests
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router

ROOT = Path(__file__).parents[2]
STEP = StepCoefficients(*(1e-4 + 1e-6 * i for i in range(len(StepCoefficients._fields))))._replace(
    stages=1.0, miss=0.9, gemm_sharpness=3.0, kv_sharpness=3.0, link_sharpness=3.0, window=1e9, chunk=2048.0
)
LIMITS = ReplicaLimits(16, 2048, 60_000.0, 0.03, 0.002, True, 1.0, 0.0)


def arguments(count: int = 60) -> tuple[Requests, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(4)
    blank = [np.zeros(count) for _ in range(9)]
    arrive, ready, first, finish, done, made, due, late, admit = blank
    prompt, output = rng.integers(50, 900, count).astype(float), rng.integers(5, 90, count).astype(float)
    cached, pace = np.zeros(count), np.ones(count)
    r = Requests(arrive, ready, first, finish, prompt, cached, output, done, made, due, late, admit, pace)
    return r, loop.room_for(LIMITS, count)


def test_object_code_computes_what_the_source_says() -> None:
    r, room = arguments()
    end = loop.run(STEP, r, LIMITS, 12, *room, False)
    again, room = arguments()
    assert loop.run.interpreted(STEP, again, LIMITS, 12, *room, False) == pytest.approx(end, rel=1e-9)
    for name, seen, wanted in zip(Requests._fields, r, again, strict=True):
        assert seen == pytest.approx(wanted, rel=1e-9), name
    assert loop.run.code() is not None


@pytest.mark.parametrize("router", list(Router))
def test_a_fleet_with_an_outage_runs_alike_compiled_and_interpreted(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(8, 2048, 20_000.0, 0.03, 0.002)
    requests = poisson_requests(Lengths(300, 60, 4096))(20.0, 150)
    gone = Outage(2.0, 4.0, 0, 1)
    fast = serve(STEP, settings, requests, 3, router, gone)
    monkeypatch.setattr(fleet_loop, "serve_fleet", fleet_loop.serve_fleet.interpreted)
    slow = serve(STEP, settings, requests, 3, router, gone)
    assert fast.resent == slow.resent > 0
    assert fast.ttft == pytest.approx(slow.ttft, rel=1e-9)
    assert fast.finish == pytest.approx(slow.finish, rel=1e-9)


def test_a_closed_population_runs_alike_compiled_and_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(8, 2048, 20_000.0, 0.03, 0.002)
    requests = poisson_requests(Lengths(300, 60, 4096))(20.0, 80)
    people = Talk(first_questions(25, 3.0), thinking(2.0, 80))
    fast = converse(STEP, settings, requests, people, 3, Router.LEAST_OUTSTANDING)
    monkeypatch.setattr(people_loop, "serve_people", people_loop.serve_people.interpreted)
    slow = converse(STEP, settings, requests, people, 3, Router.LEAST_OUTSTANDING)
    assert fast.arrive == pytest.approx(slow.arrive, rel=1e-9)
    assert fast.finish == pytest.approx(slow.finish, rel=1e-9)


def test_a_replica_that_died_starts_without_what_it_had_learnt() -> None:
    """Warm cache, blocked admission and the limit after an overflow are of the process that is gone."""
    rows: dict[str, Any] = {"queue": np.array([[5, 6, 7]]), "active": np.array([[3, 4, 0]])}
    flat: dict[str, Any] = {name: np.ones(1, np.int64) for name in fleet_loop.Fleet._fields if name not in rows}
    fleet = fleet_loop.Fleet(**rows, **flat)._replace(
        head=np.array([1]), tail=np.array([3]), batch=np.array([2]), used=np.array([900.0]), limit=np.array([2])
    )
    lost = np.zeros(8, np.int64)
    assert fleet_loop.drop(fleet, 0, lost, 1, LIMITS) == 5
    assert lost[1:5].tolist() == [3, 4, 6, 7]
    assert (fleet.up[0], fleet.warm[0], fleet.blocked[0], fleet.batch[0], fleet.used[0]) == (0, 0, 0, 0, 0.0)
    assert (fleet.limit[0], fleet.head[0]) == (LIMITS.max_seqs, 3)


def test_every_kernel_is_among_the_sources() -> None:
    files = {Path(sys.modules[kernel.__module__].__file__ or "") for kernel in KERNELS}
    assert files <= set(SOURCES)


def test_a_changed_source_is_other_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = file_name("run")
    changed = tmp_path / "step.py"
    changed.write_text("other")
    monkeypatch.setattr(compiled, "SOURCES", (changed, *SOURCES[1:]))
    compiled._digest.cache_clear()
    assert file_name("run") != before
    monkeypatch.undo()
    compiled._digest.cache_clear()
    assert file_name("run") == before


def test_code_is_looked_for_in_every_folder_and_written_where_that_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compiled, "folders", lambda: iter([tmp_path / "none", tmp_path / "user"]))
    assert not is_compiled("run")
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert not write_object_code(loop.run, blocked / "below")
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / file_name("run")).write_bytes(b"not code")
    assert is_compiled("run")
    assert CompiledLoop(loop.run.interpreted)._load() is None  # what cannot be loaded is as good as absent


def test_arrays_of_another_kind_are_refused() -> None:
    r, room = arguments()
    with pytest.raises(TypeError, match="contiguous floats"):
        layout_of(loop.run.interpreted).pack((STEP, r._replace(prompt=np.zeros(60, np.int64)), LIMITS, 3, *room, False))
    with pytest.raises(TypeError, match="contiguous ints"):
        layout_of(loop.run.interpreted).pack((STEP, r, LIMITS, 3, np.zeros((2, 3), np.int64), room[1], False))


def test_a_run_imports_no_compiler() -> None:
    for entry in (loop.run, fleet_loop.serve_fleet, people_loop.serve_people):
        assert entry.code() is not None  # made once, where nothing was built
    script = (
        "import sys; from optimizer import solve_problem\n"
        f"assert solve_problem({str(ROOT / 'problems' / 'low_latency_70b.yaml')!r}).plans\n"
        "print(sorted(name for name in sys.modules if name == 'numba'))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
