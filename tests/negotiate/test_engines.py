"""A frontier on a Dask cluster of two workers is the one of this process; what is no cluster is refused at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from optimizer.errors import UsageError
from optimizer.negotiate import engines
from optimizer.negotiate.engines import scheduler_address
from optimizer.negotiate.frontier import frontier
from optimizer.report.negotiate_frontier import render_frontier

CHAT = Path(__file__).resolve().parents[2] / "problems" / "chatbot_100users.yaml"
SETS = ["hardware.gpus=[h100_sxm_80, mi300x_192]"]
OVER, AGAINST = ("concurrency", "80:160"), ("ttft_ms", "400:1000")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler with two workers, each a process of its own, on this machine only."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address.replace("tcp://", "dask://")


def test_a_cluster_of_two_workers_gives_the_same_frontier(scheduler: str) -> None:
    seen: list[tuple[int, int]] = []
    spread = frontier(
        CHAT,
        OVER,
        AGAINST,
        points=3,
        engine=scheduler,
        sets=SETS,
        progress=lambda done, of: seen.append((done, of)),
        simulate=False,
    )
    here = frontier(CHAT, OVER, AGAINST, points=3, jobs=1, sets=SETS, simulate=False)
    assert render_frontier(spread, "json") == render_frontier(here, "json")
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_what_the_user_can_mend_comes_back_from_a_worker(scheduler: str) -> None:
    with pytest.raises(UsageError, match="context_max"):
        frontier(CHAT, OVER, ("tokens.input", "512:9000"), points=2, engine=scheduler, sets=SETS, simulate=False)


def test_addresses() -> None:
    assert scheduler_address("dask://head") == "tcp://head:8786"
    assert scheduler_address("dask://10.0.0.7:9000/") == "tcp://10.0.0.7:9000"
    assert scheduler_address("dask://[::1]:9000") == "tcp://[::1]:9000"
    for wrong in ("head:8786", "tcp://head", "dask://", "dask://head:port", "dask://head/path"):
        with pytest.raises(UsageError, match="no engine"):
            scheduler_address(wrong)


def test_a_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_CONNECT", "0.3s")
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        frontier(CHAT, OVER, AGAINST, points=2, engine="dask://127.0.0.1:9", sets=SETS, simulate=False)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(engines, "import_module", missing)
    with pytest.raises(UsageError, match="distributed") as caught:
        frontier(CHAT, OVER, AGAINST, points=2, engine="dask://127.0.0.1", sets=SETS, simulate=False)
    assert "[dask]" in str(caught.value.findings[0].hint)
