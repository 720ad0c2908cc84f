"""Prices under a day profile: hours of each period, starts, interruptions, tokens made; by hand."""

from __future__ import annotations

import pytest

from optimizer.pricing import cost_lines, excluded_costs, load_hours, mean_load, node_options, starts_of, total_cents
from optimizer.pricing.long_run import total_cents_over
from optimizer.vocabulary import Tier

DAY = {"name": "day", "hours_per_month": 230.0, "factor": 1.0}
NIGHT = {"name": "night", "hours_per_month": 500.0, "factor": 0.2}


def chat(*periods: dict, **traffic: object) -> tuple[dict, ...]:
    return ({"name": "chat", "model": "m", "traffic": {"requests_per_second": 1.0, "profile": periods, **traffic}},)


@pytest.fixture
def world(problem, make_offer, make_price, make_catalog):
    """A problem with a day profile and the options of one offer: on demand, spot and reserved."""

    def build(**payment):
        prices = (make_price(), make_price(Tier.SPOT, 10.0), make_price(Tier.RESERVED_1Y, 12.0))
        asked = problem(workloads=chat(DAY, NIGHT), payment={"startup_minutes": 30.0, **payment})
        options = {option.tier: option for option in node_options(asked, make_catalog(make_offer("aws-8x", *prices)))}
        return asked, options

    return build


def test_starts_follow_rises_and_the_first_period_follows_the_last():
    assert starts_of((4, 2, 1)) == (3, 0, 0)
    assert starts_of((1, 3, 2)) == (0, 2, 0)
    assert starts_of((2, 2)) == (0, 0)
    assert starts_of((5,)) == (0,)


def test_committed_nodes_are_paid_always_and_others_by_use(world):
    _, options = world()
    assert options[Tier.RESERVED_1Y].periods == ()
    assert options[Tier.RESERVED_1Y].cents_for((3, 3)) == 3 * 12 * 730 * 100
    day, night = options[Tier.ON_DEMAND].periods
    assert (day.cents, night.cents) == (230 * 2000, 500 * 2000)
    assert day.start_cents == round(0.5 * 730 / 24 * 2000)
    assert options[Tier.ON_DEMAND].cents_for((3, 1)) == 3 * day.cents + night.cents + 2 * day.start_cents
    assert options[Tier.ON_DEMAND].monthly_cents == 730 * 2000


def test_the_ledger_adds_up_and_names_every_period(world):
    asked, options = world(extras_monthly=5.0)
    demand, reserved = options[Tier.ON_DEMAND], options[Tier.RESERVED_1Y]
    nodes, running = [(demand, 3), (reserved, 1)], {demand.key: (3, 1), reserved.key: (1, 1)}
    lines = cost_lines(nodes, asked, {demand.key: 1}, running)
    assert sum(line.monthly_cents for line in lines) == total_cents(nodes, asked, running)
    assert total_cents(nodes, asked, running) == demand.cents_for((3, 1)) + reserved.monthly_cents + 500
    assert [line.name.partition(":")[0] for line in lines] == [
        "rent, day",
        "spare node, rent, day",
        "rent while starting, day",
        "spare node, rent, night",
        "rent",
        "extras",
    ]
    for line in lines:
        assert line.monthly_cents == pytest.approx(line.quantity * line.unit_price * 100, abs=2)
    assert total_cents_over(nodes, asked, 3, running) == 36 * total_cents(nodes, asked, running)


@pytest.mark.parametrize(("stated", "share"), [({}, 0.10), ({"spot_uplift_percent": 25.0}, 0.25)])
def test_spot_carries_an_uplift_that_is_a_line_of_its_own(world, stated, share):
    asked, options = world(tax_percent=10.0, **stated)
    spot = options[Tier.SPOT]
    rent, interruptions, tax = spot.periods[0].lines
    assert (rent.name, interruptions.name, tax.name) == ("rent", "interruptions", "tax")
    assert rent.monthly_cents == 230 * 1000
    assert interruptions.monthly_cents == round(230 * 1000 * share)
    assert tax.monthly_cents == round(230 * 1000 * (1 + share) * 0.1)
    assert "interruptions of spot nodes" not in excluded_costs([spot], asked)


def test_without_a_profile_the_uplift_counts_only_where_it_is_stated(problem, make_offer, make_price, make_catalog):
    market = make_catalog(make_offer("aws-8x", make_price(Tier.SPOT, 10.0)))
    plain, stated = problem(), problem(payment={"spot_uplift_percent": 20.0})
    (before,), (after,) = node_options(plain, market), node_options(stated, market)
    assert before.monthly_cents == 730 * 1000
    assert after.monthly_cents == round(730 * 1000 * 1.2)
    assert "interruptions of spot nodes" in excluded_costs([before], plain)
    assert "interruptions of spot nodes" not in excluded_costs([after], stated)
    assert before.periods == after.periods == ()


def test_no_startup_has_no_line(world):
    asked, options = world(startup_minutes=0.0)
    demand = options[Tier.ON_DEMAND]
    assert [period.start_lines for period in demand.periods] == [(), ()]
    assert demand.cents_for((3, 0)) == 3 * 230 * 2000
    assert len(cost_lines([(demand, 3)], asked, None, {demand.key: (3, 0)})) == 1


def test_tokens_are_counted_in_the_hours_of_each_period_by_its_factor(problem):
    asked = problem(workloads=chat(DAY, NIGHT))
    assert load_hours(asked.workloads[0], asked) == pytest.approx(230 + 0.2 * 500)
    assert mean_load(asked) == 1.0
    assert mean_load(problem()) == 1.0


def test_one_period_of_the_whole_month_costs_what_the_month_costs(problem, make_offer, make_price, make_catalog):
    market = make_catalog(make_offer("aws-8x", make_price(amount=19.99), make_price(Tier.RESERVED_1Y, 12.0)))
    flat = problem(workloads=chat({"name": "all", "hours_per_month": 730.0, "factor": 1.0}))
    for one, plain in zip(node_options(flat, market), node_options(problem(), market), strict=True):
        assert one.cents_for((3,)) == plain.cents_for((3,)) == 3 * plain.monthly_cents
