"""Second opinion where a workload may be split into length classes: every way to serve it, by brute force."""

from __future__ import annotations

import random
from dataclasses import replace

from optimizer.candidates.types import Candidate
from optimizer.demand import Load
from optimizer.performance.types import OperatingPoint
from tests.fleet.fleet_cases import Case, Maker
from tests.fleet.fleet_oracle import all_plans, key_of

WHOLE, SHORT, LONG = 0, 1, 2


def class_case(seed: int, *, scarce: bool = False) -> Case:
    """A small case of one workload with two length classes; every card is named, so that none is flagged."""
    rng, case = random.Random(f"classes/{seed}"), Maker("two workloads", seed).case()
    one, other = (asked.load for asked in case.rules.workloads)
    both = Load(one.requests_per_second + other.requests_per_second, one.inflight + other.inflight, one.decided_by)
    first, second = case.rules.workloads
    asked = (
        replace(first, name="chat", load=both),
        replace(first, name="chat/short", workload="chat", whole=WHOLE),
        replace(second, name="chat/long", workload="chat", whole=WHOLE),
    )
    classes = [replace(candidate, workload=candidate.workload + 1) for candidate in case.candidates]
    mixes = [_mix(candidate, rng.uniform(0.5, 2.0)) for candidate in classes if candidate.workload == SHORT]
    options = tuple(replace(o, max_nodes=rng.choice([None, 2, 4])) for o in case.options) if scarce else case.options
    named = frozenset(candidate.node_type.gpu.id for candidate in classes)
    rules = replace(case.rules, workloads=asked, named_gpus=named)
    return replace(case, candidates=(*mixes, *classes), options=options, rules=rules, name=f"classes/{seed}")


def _mix(candidate: Candidate, factor: float) -> Candidate:
    points = tuple(
        OperatingPoint(p.kind, p.requests_per_second * factor, p.inflight * factor, p.latencies_s)
        for p in candidate.points
    )
    return replace(candidate, workload=WHOLE, points=points)


def only(case: Case, *parts: int) -> Case:
    """The case with these parts as workloads of their own, and nothing else."""
    place = {part: number for number, part in enumerate(parts)}
    asked = tuple(replace(case.rules.workloads[part], whole=None) for part in parts)
    mine = [replace(c, workload=place[c.workload]) for c in case.candidates if c.workload in place]
    return replace(case, candidates=tuple(mine), rules=replace(case.rules, workloads=asked))


def brute_force_classes(case: Case) -> list[tuple]:
    """The ranking: (objective, cents, gpus, slots with replicas, nodes)."""
    plans = []
    for splits, parts in enumerate(((WHOLE,), (SHORT, LONG))):
        alone = only(case, *parts)
        for sort_key, (chosen, nodes), _ in all_plans(alone):
            key = key_of(alone, chosen, nodes)
            back = [(replace(c, workload=parts[c.workload]), p, n) for c, p, n in chosen]
            plans.append(((*sort_key[:3], splits, *sort_key[3:]), key, back, nodes))
    plans.sort(key=lambda plan: plan[0])
    ranking, seen = [], set()
    for sort_key, key, chosen, nodes in plans:
        if key not in seen:
            seen.add(key)
            who = tuple((c.key, p, n) for c, p, n in chosen)
            ranking.append((*sort_key[:3], who, tuple(sorted((o.key, n) for o, n in nodes.items()))))
    return ranking[: case.rules.top]
