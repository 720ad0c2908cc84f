"""A replay asked again under other limits runs nothing twice, and says what one run afresh says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.catalog import default_root, load_catalog
from optimizer.demand import Lengths, Metric
from optimizer.performance.parameter_files import load_parameters
from optimizer.performance.types import ReplicaSpec
from optimizer.simulate.draws import poisson, stream
from optimizer.simulate.estimate import MeasuringWindow, Runs, Seen, Wanted, observe
from optimizer.simulate.fleet import Served, serve
from optimizer.vocabulary import Link, Router

LENGTHS = Lengths(700.0, 200.0, 4096, input_p95=1900.0)
WANTED = (Wanted(Metric.TTFT, 95.0), Wanted(Metric.TPOT, 95.0))


@pytest.fixture(scope="module")
def run():
    from optimizer.calibrate.forward import replica_for

    catalog, params = load_catalog(), load_parameters(default_root())
    spec = ReplicaSpec(
        gpu=catalog.gpus["h100_sxm_80"], model=catalog.models["meta-llama/Llama-3.1-8B-Instruct"],
        engine=catalog.engines["vllm"], weight_quant="bf16", kv_cache="auto", tensor_parallel=1, pipeline_parallel=1,
        link=Link.PCIE, gpu_memory_utilization=0.9, max_num_seqs=256, max_num_batched_tokens=8192, max_model_len=4096,
    )  # fmt: skip
    replica = replica_for(spec, LENGTHS, params)

    def of(window: MeasuringWindow) -> Served:
        requests = stream(poisson(14.0, window.total), LENGTHS)
        return serve(replica.c, replica.open_loop, requests, 1, Router.ROUND_ROBIN)

    return of


def told(seen: Seen) -> tuple[object, ...]:
    return (seen.estimates, seen.ttft, seen.tpot, seen.e2e, seen.requests, seen.prefix_hit_rate)


def test_other_limits_ask_of_the_same_runs(run) -> None:
    lengths: list[int] = []

    def counted(window: MeasuringWindow) -> Served:
        lengths.append(window.measured)
        return run(window)

    runs: Runs = {}
    first = observe(counted, WANTED, 5.0, runs=runs)
    at = first.estimates[0].value
    for share in (0.5, 0.97, 1.0, 1.03, 2.0):
        limited = [replace(WANTED[0], limit_s=at * share), WANTED[1]]
        assert told(observe(counted, limited, 5.0, runs=runs)) == told(observe(run, limited, 5.0))
    assert len(lengths) == len(set(lengths)), "each length is run once"


def test_the_whole_run_is_there_for_who_shows_it(run) -> None:
    runs: Runs = {}
    first, again = (observe(run, WANTED, 5.0, runs=runs) for _ in range(2))
    assert again.served.finish.tolist() == first.served.finish.tolist()
    assert again.served.finish.size == again.window.total
