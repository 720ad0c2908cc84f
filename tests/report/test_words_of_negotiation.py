"""The small words of negotiation reports where they turn: money apart, promises missed, steps of a staircase."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.negotiate.compare import Comparison
from optimizer.negotiate.frontier import Step
from optimizer.plan.deployment import PeriodService, PlanPeriod
from optimizer.plan.quotes import MissedPromise
from optimizer.plan.types import Binding, Outcome, SingleKind
from optimizer.report import bill, negotiate_compare, negotiate_explain, negotiate_frontier, periods, render, screen
from optimizer.report.layout import drawn
from optimizer.report.negotiate_words import signed
from optimizer.report.quotes import missed_of
from optimizer.report.words import Names
from optimizer.whatif.case import Goal

NAMES = Names(several=False, currency="USD")


@pytest.mark.parametrize(
    ("cents", "currency", "said"),
    [
        (185_000, "USD", "+$1,850"), (-32_000, "USD", "-$320"), (50, "USD", "+$1"), (49, "USD", "less than $1 apart"),
        (-49, "USD", "less than $1 apart"), (0, "USD", "the same price"), (49, "CNY", "< 1"),
        (0, "CNY", "the same price"),
    ],
)  # fmt: skip
def test_a_difference_of_money(cents: int, currency: str, said: str) -> None:
    assert signed(cents, currency) == said


@pytest.mark.parametrize(
    ("value", "limit", "unit", "said"),
    [
        (4100.0, 2000.0, "ms", "TTFT p95 4.1 s of 2 s"), (1500.0, 1000.0, "ms", "TTFT p95 1.5 s of 1 s"),
        (1500.0, 999.0, "ms", "TTFT p95 1500 ms of 999 ms"), (4000.0, 1200.0, "s", "TTFT p95 4000 s of 1200 s"),
    ],
)  # fmt: skip
def test_a_promise_that_is_missed(value: float, limit: float, unit: str, said: str) -> None:
    promise = MissedPromise("workloads.chat.slo.ttft_ms.p95", value, limit, unit, "1x L4")
    assert missed_of(promise).replace(",", "") == said


@pytest.mark.parametrize(
    ("first", "last", "objective", "said"),
    [
        (31.26, 31.26, "minimize_tpot", "31.3 ms"), (31.26, 40.0, "minimize_ttft", "31.3 to 40 ms"),
        (4.0, 8.0, "minimize_gpus", "4 to 8"), (None, 8.0, "minimize_gpus", "-"), (4.0, None, "minimize_gpus", "-"),
    ],
)  # fmt: skip
def test_what_a_stretch_of_a_staircase_reaches(
    first: float | None, last: float | None, objective: str, said: str
) -> None:
    step = Step(1.0, 2.0, 100, 100, None, first, last)
    assert negotiate_frontier._reached(step, Goal(objective, 95.0, True)) == said


@pytest.mark.parametrize(
    ("cents", "currency", "said"),
    [
        ((100_000, 150_000), ("USD", "USD"), "$1,000/mo -> $1,500/mo (+$500)"),
        ((100_000, 150_000), ("USD", "CNY"), "$1,000/mo -> CNY 1,500/mo"),
        ((None, 150_000), ("USD", "USD"), "no deployment keeps every promise -> $1,500/mo"),
        ((100_000, None), ("USD", "USD"), "$1,000/mo -> no deployment keeps every promise"),
    ],
)
def test_two_costs_are_subtracted_in_one_currency_only(
    cents: tuple[int | None, int | None], currency: tuple[str, str], said: str
) -> None:
    none = Comparison("a", "b", currency, cents, ("optimal", "optimal"), (), (), (), (), (), True)
    assert negotiate_compare._costs(none) == said


@pytest.mark.parametrize(
    ("path", "length_class", "said"),
    [
        ("workloads.chat.slo.tpot_ms", "long", "TPOT p95 (long)"),
        ("workloads.chat.slo.tpot_ms", "", "TPOT p95"),
        ("workloads.chat.tokens.classes.long.slo.ttft_ms.p95", "long", None),
    ],
)
def test_an_inherited_promise_names_the_class(path: str, length_class: str, said: str | None) -> None:
    binding = Binding(path, "chat", 40.0, 50.0, "ms", 0.2, length_class)
    found = negotiate_explain._promise(binding, NAMES)
    assert found == NAMES.of(path) + (" (long)" if said and length_class else "")


def test_savings_against_each_single_kind(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["optimal"]
    first = outcome.plans[0]
    kinds = (
        SingleKind("l4_24", 2 * first.monthly_cents, 8),
        SingleKind("h100_sxm_80", first.monthly_cents * 4 // 3, 2),
        SingleKind("a10g_24", None, 0),
        SingleKind("l40s_48", 0, 1),
    )
    lines = [line.text for line in drawn(bill.single_kinds(replace(outcome, single_kinds=kinds)))]
    assert [line.split("#1 ")[-1].split(" against")[0] for line in lines if "#1" in line][1:] == [
        "saves 50 %", "saves 25 %", "saves 0 %",
    ]  # fmt: skip
    assert any(line.endswith("cannot keep every promise alone") for line in lines)


def test_a_day_in_columns(outcomes: dict[str, Outcome]) -> None:
    plan = outcomes["optimal"].plans[0]
    day = PeriodService("chat", 1.0, 6.0, 1800.0, 90.0, 400.0, 31.0)
    night = PeriodService("chat", 0.0, 0.0, 0.0, 0.0, None, None)
    counts, nodes = tuple(1 for _ in plan.groups), tuple(1 for _ in plan.nodes)
    told = replace(
        plan,
        periods=(
            PlanPeriod("day", 240, 30, 4, counts, nodes, 120_000, (day,)),
            PlanPeriod("night", 490.5, 30, 0, tuple(0 for _ in counts), tuple(0 for _ in nodes), 0, (night,)),
        ),
    )
    head, first, last = (line.split() for line in periods._table(told))
    assert head[:3] == ["period", "hours", "load"]
    assert "by use" in periods._table(told)[0] and "by  use" not in periods._table(told)[0]
    assert first[:5] == ["day", "240", "x", "1,", "1,800"] and "$1,200" in first
    assert first[-2:] == ["400", "ms"]  # TPOT has no room in 80 columns
    assert last[:4] == ["night", "490.5", "x", "0"] and "tok/s" not in last


def test_a_screen_is_as_wide_as_its_terminal(outcomes: dict[str, Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(screen, "terminal_width", lambda: 60)
    narrow = render(outcomes["optimal"], "screen", terminal=True)
    piped = render(outcomes["optimal"], "screen")
    assert max(map(len, narrow.splitlines())) <= 60 < max(map(len, piped.splitlines())) <= 80


def test_a_change_of_a_long_value_is_one_row() -> None:
    """``optimize diff`` failed where the first column folded: more lines than rows."""
    change = ("workloads.chat.traffic.concurrency", "100", "->", "115")
    longer = ("hardware.gpus", "-", "->", "[h100_sxm_80, h200_sxm_141, b200_sxm_180]")
    for rows in ((change, longer), (change, ("x" * 90, "-", "->", "y"))):
        told = " ".join(line.text for line in negotiate_compare._ChangeRows(rows).lines(str))
        assert all(word in told for row in rows for cell in row for word in cell.split())
