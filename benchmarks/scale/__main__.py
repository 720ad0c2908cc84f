"""How far the search for large problems gets: 10 and 50 workloads on 150 node types, mixes allowed.

    python -m benchmarks.scale [--workloads 10,50] [--seeds 1] [--limits 60,300] [--mix 2] [--top 1]
                               [--beside scip,highs|none] [--simulate]

Each problem is generated from its seed and answered by the command line, ``--time-limit`` included, so that the seconds
are those of the whole command. Printed are size, seconds, cost, bound and gap, the load average, and beside them what
SCIP and HiGHS reach with the same question in the same time. Nothing is asserted.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.scale.generate import Shape, write

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--workloads", default="10,50", show_default=True)
@click.option("--seeds", default="1", show_default=True)
@click.option("--limits", default="60,300", show_default=True, help="Seconds given, one run for each.")
@click.option("--mix", default=2, show_default=True, help="Configurations that may share a workload.")
@click.option("--top", default=1, show_default=True, help="Plans that are ranked.")
@click.option("--beside", default="scip,highs", show_default=True, help="Other solvers, for the first limit; or none.")
@click.option("--simulate", is_flag=True, help="Replay plans request by request too.")
def main(workloads: str, seeds: str, limits: str, mix: int, top: int, beside: str, simulate: bool) -> None:
    """Generate, solve, print."""
    others = [] if beside == "none" else beside.split(",")
    for count in map(int, workloads.split(",")):
        for seed in map(int, seeds.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                shape = Shape(count, seed, mix=mix, top=top)
                problem, catalogs = write(Path(folder), shape)
                click.echo(f"{count} workloads, {shape.node_types} node types, seed {seed}, mixes of {mix}, top {top}")
                for limit in map(float, limits.split(",")):
                    _ours(problem, catalogs, limit, simulate=simulate)
                for name in others:
                    _theirs(name, problem, catalogs, float(limits.split(",", maxsplit=1)[0]))


def _ours(problem: Path, catalogs: Path, limit: float, *, simulate: bool) -> None:
    command = [sys.executable, "-m", "optimizer", str(problem), "--catalogs", str(catalogs), "--format", "json"]
    command += ["--time-limit", str(limit), *([] if simulate else ["--no-simulate"])]
    start, before = time.perf_counter(), _processor()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds, busy = time.perf_counter() - start, _processor() - before
    answer = json.loads(done.stdout) if done.stdout else {}
    proof, plans = answer.get("proof", {}), answer.get("plans", [])
    objective = proof.get("objective", {})
    gap = "no plan" if proof.get("gap") is None else f"gap {proof['gap']:.2%}"
    click.echo(
        f"  optimize, limit {limit:.0f} s: {seconds:6.1f} s ({busy:.1f} s of processor time), "
        f"cost {_money(objective.get('value'))}, bound {_money(objective.get('bound'))}, {gap}, "
        f"{answer.get('status', 'failed')} (exit {done.returncode}), {len(plans)} plans, "
        f"{proof.get('candidates_enumerated', 0):,} enumerated, {proof.get('candidates_feasible', 0):,} feasible, "
        f"load average {os.getloadavg()[0]:.1f}"
    )


def _theirs(name: str, problem: Path, catalogs: Path, limit: float) -> None:
    from benchmarks.scale.second_opinion import ask
    from optimizer.fleet.candidate_set import enumerate_candidates
    from optimizer.planning.inputs import read_inputs
    from optimizer.pricing import node_options

    inputs = read_inputs(problem, catalogs=catalogs)
    options = node_options(inputs.problem, inputs.catalog)
    candidates = enumerate_candidates(inputs.problem, inputs.catalog, options, inputs.params)
    found = ask(name, candidates, options, limit)
    gap = "no plan" if found.gap is None else f"gap {found.gap:.2%}"
    click.echo(
        f"  {name:8s}, limit {limit:.0f} s: {found.seconds:6.1f} s, {found.size}, cost {_money(found.cost)}, "
        f"bound {_money(found.bound)}, {gap}, load average {os.getloadavg()[0]:.1f}"
    )


def _money(value: float | None) -> str:
    return "none" if value is None else f"{value:,.2f}"


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
