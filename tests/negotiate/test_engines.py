"""A frontier on a Dask cluster of two workers is the one of this process; what is no cluster is refused at once."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from optimizer.errors import UsageError
from optimizer.negotiate import frontier as frontier_room
from optimizer.negotiate.frontier import Task, frontier, scheduler_address
from optimizer.progress import PartsDone
from optimizer.report.negotiate_frontier import render_frontier

pytestmark = pytest.mark.cards("h100_sxm_80", "mi300x_192")

CHAT = Path(__file__).resolve().parents[2] / "problems" / "chatbot_100users.yaml"
SETS = ["hardware.gpus=[h100_sxm_80, mi300x_192]"]
ROOT = CHAT.parents[1]
CONFIG = """{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
"num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
"max_position_embeddings": 131072, "torch_dtype": "bfloat16", "tie_word_embeddings": false}"""
PROBLEM = """
workloads:
  - name: api
    model: ./model
    traffic: {trace: trace.csv, requests_per_second: 2}
    tokens: {input: 420, output: 50, context_max: 8192}
    slo: {ttft_ms: 4000, tpot_ms: 80, percentile: 95}
engine: {calibration: fit.csv}
hardware: {gpus: [h100_sxm_80]}
"""
OVER, AGAINST = ("concurrency", "80:160"), ("ttft_ms", "400:1000")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler with two workers, each a process of its own, on this machine only."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        silence_logs=50,
    ) as cluster:
        yield cluster.scheduler_address.replace("tcp://", "dask://")


def _count_into(seen: list[tuple[int, int]]) -> Callable[[str], None]:
    """A listener that keeps how many parts were done of how many."""

    def told(step: str) -> None:
        if isinstance(step, PartsDone):
            seen.append((step.done, step.total))

    return told


def test_a_cluster_of_two_workers_gives_the_same_frontier(scheduler: str) -> None:
    seen: list[tuple[int, int]] = []
    spread = frontier(
        CHAT,
        OVER,
        AGAINST,
        points=3,
        engine=scheduler,
        sets=SETS,
        progress=_count_into(seen),
        simulate=False,
    )
    here = frontier(CHAT, OVER, AGAINST, points=3, jobs=1, sets=SETS, simulate=False)
    assert render_frontier(spread, "json") == render_frontier(here, "json")
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_what_the_user_can_mend_comes_back_from_a_worker(scheduler: str) -> None:
    with pytest.raises(UsageError, match="context_max"):
        frontier(CHAT, OVER, ("tokens.input", "512:9000"), points=2, engine=scheduler, sets=SETS, simulate=False)


def test_a_single_curve_is_cut_into_tasks_and_is_the_same_curve(scheduler: str) -> None:
    seen: list[tuple[int, int]] = []
    over = ("concurrency", "80:480:10")
    spread = frontier(CHAT, over, engine=scheduler, sets=SETS, progress=_count_into(seen))
    here = frontier(CHAT, over, jobs=1, sets=SETS)
    assert render_frontier(spread, "json") == render_frontier(here, "json")
    assert len(here.curves[0].steps) > 2
    assert seen[-1][1] > 2  # tasks


def _with_files(folder: Path) -> Path:
    """A problem with a trace, a calibration and a configuration file beside it."""
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(CONFIG, encoding="utf-8")
    arrivals = "".join(f"{second},{400 + second},{50}\n" for second in range(40))
    (folder / "trace.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{arrivals}", encoding="utf-8")
    (folder / "fit.csv").write_bytes((ROOT / "problems" / "calibration" / "own_h100.csv").read_bytes())
    (folder / "p.yaml").write_text(PROBLEM, encoding="utf-8")
    return folder / "p.yaml"


def test_workers_need_no_file_of_the_problem(scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is gone before the first task runs, as it is on another machine."""
    folder = tmp_path / "only here"
    folder.mkdir()
    problem = _with_files(folder)
    over, against = ("requests_per_second", "1:4:0.5"), ("tpot_ms", "60:80")
    here = render_frontier(frontier(problem, over, against, points=2, jobs=1), "json")
    sent = frontier_room.run

    def elsewhere(*arguments: object) -> object:
        shutil.rmtree(folder)
        return sent(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(frontier_room, "run", elsewhere)
    assert render_frontier(frontier(problem, over, against, points=2, engine=scheduler), "json") == here
    assert not folder.exists()


def test_a_cluster_without_workers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier_room, "_WORKERS_S", 0.5)
    with LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        silence_logs=50,
    ) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        with pytest.raises(UsageError, match="has no worker") as caught:
            frontier(CHAT, OVER, AGAINST, points=2, engine=address, sets=SETS)
    assert "dask worker" in str(caught.value.findings[0].hint)


def test_what_tasks_share_is_sent_once() -> None:
    """The case is some megabytes; a task is some bytes."""
    assert len(pickle.dumps(Task("workloads.chat.slo.ttft_ms=500", 0, 80, (0, 40, 80)))) < 400


def test_addresses() -> None:
    assert scheduler_address("dask://head") == "tcp://head:8786"
    assert scheduler_address("dask://10.0.0.7:9000/") == "tcp://10.0.0.7:9000"
    assert scheduler_address("dask://[::1]:9000") == "tcp://[::1]:9000"
    for wrong in ("head:8786", "tcp://head", "dask://", "dask://head:port", "dask://head/path"):
        with pytest.raises(UsageError, match="no engine"):
            scheduler_address(wrong)


def test_a_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier_room, "_CONNECT", "0.3s")
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        frontier(CHAT, OVER, AGAINST, points=2, engine="dask://127.0.0.1:9", sets=SETS, simulate=False)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(frontier_room, "import_module", missing)
    with pytest.raises(UsageError, match="distributed") as caught:
        frontier(CHAT, OVER, AGAINST, points=2, engine="dask://127.0.0.1", sets=SETS, simulate=False)
    assert "[dask]" in str(caught.value.findings[0].hint)
