"""Random problems against brute force with replayed capability: every candidate replayed at 1, 2, 3, ... replicas until
it keeps every promise, none inferred; then the cheapest of all, or of all pairs where two workloads share nodes.

With ``mixes`` one workload may be served by two kinds of replica: every two kinds at every two numbers of replicas that
cost less than the best so far, each with the largest share of the load that it carries in the replay, and together all
of it.

The enumeration is written from the candidates and the prices; it uses no bound, no closed form and no solver.

    python -m benchmarks.replayed_optimum                  200 problems
    python -m benchmarks.replayed_optimum 20 1000          20 problems from the seed 1000 on
    python -m benchmarks.replayed_optimum 100 0 mixes      100 problems with mixes
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from optimizer.candidates.types import Candidate
from optimizer.decide import decide
from optimizer.fleet.funnel import configuration_allowed
from optimizer.fleet.lower_bounds import UsableOptions
from optimizer.planning.inputs import read_inputs
from optimizer.planning.replicas_replayed import Replayer, Trial
from optimizer.units import SHARE_UNITS
from optimizer.whatif.case import Case, open_case

MOST_REPLICAS = 40
"""Enumerated of each candidate; a plan with more is counted apart, as nothing here judges it."""

_CARDS = ("l40s_48", "a100_sxm_80", "h100_sxm_80", "h200_sxm_141", "b200_sxm_180", "rtx_pro_6000_server_96", "l4_24")
_HOURLY = dict(zip(_CARDS, (0.9, 1.4, 2.6, 3.2, 5.0, 1.6, 0.4), strict=True))
_MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-14B-Instruct", "meta-llama/Llama-3.1-70B-Instruct")


def problem_of(rng: random.Random) -> str:
    """The text of a random problem: one workload or two, one to three cards, tight and loose promises."""
    workloads = []
    for name in ("first", "second")[: rng.choice([1, 1, 2])]:
        mean = rng.choice([300, 900, 2500])
        lengths = f"{{mean: {mean}, p95: {round(mean * rng.uniform(1.2, 3.2))}}}" if rng.random() < 0.5 else str(mean)
        traffic = rng.choice(
            [
                f"{{requests_per_second: {rng.choice([0.5, 2, 8, 20])}}}",
                f"{{concurrency: {rng.choice([4, 30, 90])}}}",
                f"{{requests_per_second: {rng.choice([1, 5])}, concurrency: {rng.choice([8, 40])}}}",
            ]
        )
        workloads.append(
            f"  - name: {name}\n    model: {rng.choice(_MODELS)}\n    traffic: {traffic}\n"
            f"    tokens: {{input: {lengths}, output: {rng.choice([60, 250, 500])}, context_max: 8192}}\n"
            f"    slo: {{ttft_ms: {{p95: {rng.choice([300, 800, 2500])}}},"
            f" tpot_ms: {{p95: {rng.choice([15, 25, 45, 80])}}}}}\n"
        )
    cards = rng.sample(_CARDS, rng.choice([1, 2, 3]))
    sizes = rng.choice(["[1]", "[1, 2]", "[2, 4]"])
    formats = rng.choice(["[fp8]", "[bf16]", "[bf16, fp8]", "[bf16, fp8, nvfp4]"])
    return (
        f"name: random\nworkloads:\n{''.join(workloads)}hardware: {{gpus: [{', '.join(cards)}]}}\n"
        f"engine: {{tensor_parallel: {sizes}, pipeline_parallel: [1], kv_cache: [auto],"
        f" weight_quant: {formats}}}\nranking: {{top: 1}}\n"
    )


def _spread(rng: random.Random, means: list[int]) -> str:
    """Lengths that differ from request to request: alike ones run in step, and then less load may be slower."""
    mean = rng.choice(means)
    return f"{{mean: {mean}, p95: {round(mean * rng.uniform(1.5, 3.0))}}}"


def mixed_problem_of(rng: random.Random) -> str:
    """The text of a random problem that two kinds of replica may serve together, on nodes of which few are in stock."""
    traffic = rng.choice(
        [f"{{requests_per_second: {rng.choice([30, 80, 160])}}}", f"{{concurrency: {rng.choice([250, 600, 1200])}}}"]
    )
    offers = []
    for card in rng.sample(_CARDS, 2):
        gpus, stock = rng.choice([1, 1, 2]), rng.choice(["", ", stock: 1", ", stock: 2", ", stock: 4"])
        price = _HOURLY[card] * rng.uniform(0.6, 1.5) * gpus
        offers.append(
            f"  - {{id: {card}, provider: mine, gpu: {card}, gpus_per_node: {gpus}, nvlink: yes, currency: USD,"
            f" price_per_hour: {price:.2f}{stock}}}\n"
        )
    return (
        f"name: random\nworkloads:\n  - name: first\n    model: {rng.choice(_MODELS[:2])}\n    traffic: {traffic}\n"
        f"    tokens: {{input: {_spread(rng, [300, 900, 2500])}, output: {_spread(rng, [60, 250, 500])},"
        " context_max: 8192}\n"
        f"    slo: {{ttft_ms: {{p95: {rng.choice([800, 2500])}}}, tpot_ms: {{p95: {rng.choice([25, 45, 80])}}}}}\n"
        f"hardware: {{providers: [mine]}}\noffers:\n{''.join(offers)}"
        f"engine: {{tensor_parallel: [1], pipeline_parallel: [1], kv_cache: [auto],"
        f" weight_quant: {rng.choice(['[fp8]', '[bf16]', '[bf16, fp8]'])}}}\n"
        "ranking: {top: 1, max_configurations_per_workload: 2}\n"
    )


def served(case: Case, replayer: Replayer) -> list[list[tuple[Candidate, int]]]:
    """Of each workload every candidate with the fewest replicas that keep every promise, found from one replica on."""
    rules = case.candidates.rules
    market = UsableOptions(option for option in case.options if not rules.forbidden_by(option))
    fewest: dict[object, int | None] = {}
    found: list[list[tuple[Candidate, int]]] = [[] for _ in rules.workloads]
    for one in case.candidates.candidates:
        if not (configuration_allowed(one, rules) and market.options(one.node_type)):
            continue
        kind = Trial(one.workload, one.spec, 1, 1.0).key
        if kind not in fewest:
            trials = (Trial(one.workload, one.spec, count, 1.0) for count in range(1, MOST_REPLICAS + 1))
            within = (trial for trial in trials if replayer.beyond_saturation(trial) is None)
            fewest[kind] = next((trial.replicas for trial in within if replayer.replay(trial).kept), None)
        count = fewest[kind]
        if count is not None:
            found[one.workload].append((one, count))
    return found


def nodes_for(parts: list[tuple[Candidate, int]]) -> int:
    """Nodes of one type that hold replicas of several workloads: largest first, each into the first that has room."""
    size = parts[0][0].node_type.gpus_per_node
    free: list[int] = []
    for gpus in sorted((one.spec.gpus for one, count in parts for _ in range(count)), reverse=True):
        at = next((place for place, left in enumerate(free) if left >= gpus), None)
        if at is None:
            free.append(size - gpus)
        else:
            free[at] -= gpus
    return len(free)


def bills(case: Case, parts: list[list[tuple[Candidate, int]]]) -> Iterator[int]:
    """What every plan costs a month, in cents; replicas of two workloads share nodes of one type."""
    rules = case.candidates.rules
    market = UsableOptions(option for option in case.options if not rules.forbidden_by(option))
    for plan in product(*parts):
        of_type: dict[object, list[tuple[Candidate, int]]] = {}
        for one in plan:
            of_type.setdefault(one[0].node_type.key, []).append(one)
        costs = [market.cheapest(mine[0][0].node_type, nodes_for(mine)) for mine in of_type.values()]
        if all(cost is not None for cost in costs):
            yield sum(cost for cost in costs if cost is not None) + rules.fixed_cents


class Mixes:
    """Every plan of two kinds of replica for one workload."""

    def __init__(self, case: Case, replayer: Replayer) -> None:
        rules = case.candidates.rules
        self._replayer, self._fixed = replayer, rules.fixed_cents
        self._market = UsableOptions(option for option in case.options if not rules.forbidden_by(option))
        self._kinds = [
            one
            for one in case.candidates.candidates
            if configuration_allowed(one, rules) and self._market.options(one.node_type)
        ]
        self._shares: dict[object, int] = {}

    def cheapest(self, known: int | None) -> int | None:
        """The least cents of any mix that costs less than what is known, else that."""
        best = known
        for first in range(len(self._kinds)):
            for second in range(first + 1, len(self._kinds)):
                for here, there in product(range(1, MOST_REPLICAS + 1), repeat=2):
                    parts = [(self._kinds[first], here), (self._kinds[second], there)]
                    cents = self._cents(parts)
                    if cents is None or (best is not None and cents >= best):
                        continue
                    if sum(self._share(one, count) for one, count in parts) >= SHARE_UNITS:
                        best = cents
        return best

    def _cents(self, parts: list[tuple[Candidate, int]]) -> int | None:
        of_type: dict[object, list[tuple[Candidate, int]]] = {}
        for one in parts:
            of_type.setdefault(one[0].node_type.key, []).append(one)
        costs = [self._market.cheapest(mine[0][0].node_type, nodes_for(mine)) for mine in of_type.values()]
        return None if None in costs else sum(cost for cost in costs if cost is not None) + self._fixed

    def _share(self, one: Candidate, count: int) -> int:
        """The largest share of the load, of 2520, that so many replicas carry; more is never easier."""
        about = Trial(one.workload, one.spec, count, 1.0).key
        if about not in self._shares:
            low, high = 0, SHARE_UNITS + 1
            while high - low > 1:
                middle = (low + high) // 2
                kept = self._keeps(Trial(one.workload, one.spec, count, middle / SHARE_UNITS))
                low, high = (middle, high) if kept else (low, middle)
            self._shares[about] = low
        return self._shares[about]

    def _keeps(self, trial: Trial) -> bool:
        return self._replayer.beyond_saturation(trial) is None and self._replayer.replay(trial).kept


def expected_of(case: Case, replayer: Replayer, *, mixes: bool) -> int | None:
    """The least cents of all plans that are enumerated; None: there is none."""
    alone = min(bills(case, served(case, replayer)), default=None)
    return Mixes(case, replayer).cheapest(alone) if mixes else alone


def main() -> None:
    """Compare, and print what differs."""
    mixes, numbers = "mixes" in sys.argv, [text for text in sys.argv[1:] if text != "mixes"]
    count, first = (int(text) for text in (*numbers, *("200", "0")[len(numbers) :]))
    same = none = two = mixed = beyond = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            path = Path(folder) / f"{seed}.yaml"
            path.write_text((mixed_problem_of if mixes else problem_of)(random.Random(seed)))
            inputs = read_inputs(path)
            case = open_case(inputs)
            expected = expected_of(case, Replayer(inputs), mixes=mixes)
            plans = decide(inputs, tested=False).plans
            found = plans[0].monthly_cents if plans else None
            two += len(inputs.problem.workloads) > 1
            mixed += bool(plans) and len(plans[0].groups) > len(inputs.problem.workloads)
            if plans and max(group.replicas for group in plans[0].groups) > MOST_REPLICAS:
                beyond += 1
            elif found == expected:
                same, none = same + 1, none + (found is None)
            else:
                print(f"seed {seed}: brute force {expected}, the program {found}", flush=True)
    print(
        f"{same} of {count} problems agree, {none} of them without a plan; {two} of all have two workloads, {mixed} mix"
    )
    print(f"{beyond} plans with more than {MOST_REPLICAS} replicas of a kind were not judged")
    sys.exit(0 if same + beyond == count else 1)


if __name__ == "__main__":
    main()
