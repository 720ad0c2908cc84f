"""Many offers of one node type: what is left out changes no answer, however small the stocks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.fleet import SolveSettings
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.screening import prepare
from tests.fleet.fleet_cases import Case, Maker, OptionSpec, make_option


def crowded(seed: int, offers: int = 6) -> Case:
    """A case whose node types have many more offers, each with a stock of a node or two."""
    case = Maker("one workload", seed).case()
    types = {option.node_type.key: option.node_type for option in case.options}
    cheapest = min(option.monthly_cents for option in case.options)
    more = [
        make_option(node_type, OptionSpec(f"more-{at}-{n}", cents=cheapest + 7 * (n // 2), stock=1 + n % 2))
        for at, (_, node_type) in enumerate(sorted(types.items()))
        for n in range(offers)
    ]
    return replace(case, options=tuple(sorted([*case.options, *more], key=lambda option: option.key)))


@pytest.mark.parametrize("seed", range(12))
def test_stocks_are_dominated_without_changing_the_ranking(seed: int) -> None:
    case = crowded(seed)
    found = [
        rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings(screens=screens))
        for screens in (True, False)
    ]
    assert found[0].solutions == found[1].solutions


def test_a_thousand_stocked_offers_leave_as_many_as_a_plan_may_need() -> None:
    case = crowded(3, offers=1000)
    kept = prepare(case.candidate_set, case.options, screens=True).instance
    most = max(kept.max_nodes(node_type) for node_type in kept.node_types)
    assert len(kept.options) <= len(kept.node_types) * 2 * (most + 1) + len(case.rules.limits.quotas) * len(
        case.options
    )
