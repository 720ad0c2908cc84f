"""Charts of an outcome: what is drawn are its figures."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import pytest

from optimizer.errors import UsageError
from optimizer.plan.types import Outcome

mpl.use("Agg")
ONE_CARD = ("hardware.gpus=[h100_sxm_80, l40s_48]", "ranking.top=3", "margins.spare_nodes=1")


@pytest.fixture(scope="module")
def outcome(solved: Callable[..., Outcome]) -> Outcome:
    """A small question, replayed, with a node in reserve."""
    return solved("chatbot_100users", *ONE_CARD)


def plots(outcome: Outcome) -> Any:
    """Untyped: what matplotlib gives back is looked into."""
    return outcome.plot


def test_the_frontier_is_that_of_the_ranked_plans(outcome: Outcome) -> None:
    axes = plots(outcome).frontier()
    every, best, promised = axes.get_lines()
    drawn = list(zip(every.get_xdata(), every.get_ydata(), strict=True))
    expected = []
    for plan in outcome.plans:
        ttft = max(one.ttft_ms.p95 for one in plan.simulated) / 1e3
        expected.append((pytest.approx(ttft), pytest.approx(plan.monthly_cents / 100)))
    assert drawn == expected
    line = list(zip(best.get_xdata(), best.get_ydata(), strict=True))
    assert line and set(line) <= set(drawn)
    for x, y in drawn:  # nothing that was left out beats a point of the line, each of the line is beaten by none
        beaten = any(a <= x and b <= y and (a, b) != (x, y) for a, b in drawn)
        assert ((x, y) in line) == (not beaten)
    assert list(promised.get_xdata()) == [1.0, 1.0]  # ttft_ms: 1000
    assert axes.get_xlabel() == "TTFT p95, s, replayed"
    assert [text.get_text().split()[0] for text in axes.texts] == [f"#{plan.rank}" for plan in outcome.plans]


def test_an_estimate_is_called_one(outcome: Outcome) -> None:
    estimated = replace(outcome, plans=tuple(replace(plan, simulated=()) for plan in outcome.plans))
    axes = plots(estimated).frontier()
    assert axes.get_xlabel() == "TTFT p95, s, estimated"
    first = outcome.plans[0].predicted[0].ttft_ms.p95 / 1e3
    assert axes.get_lines()[0].get_xdata()[0] == pytest.approx(first)
    with pytest.raises(UsageError, match="not replayed"):
        plots(estimated).promises()


def test_the_cost_is_what_serves_and_what_is_in_reserve(outcome: Outcome) -> None:
    serves, reserve = plots(outcome).cost().containers
    for plan, one, kept in zip(outcome.plans, serves, reserve, strict=True):
        spare = sum(node.spare_cents for node in plan.nodes) / 100
        assert spare > 0
        assert kept.get_width() == pytest.approx(spare)
        assert kept.get_x() == pytest.approx(one.get_width())
        assert one.get_width() + kept.get_width() == pytest.approx(plan.monthly_cents / 100)


def test_promises_as_shares_of_their_limits(outcome: Outcome) -> None:
    axes = plots(outcome).promises(rank=2)
    used, margin = axes.containers
    promises = [one for replay in outcome.plans[1].simulated for one in replay.promises]
    for promise, one, more in zip(promises, used, margin, strict=True):
        assert one.get_width() == pytest.approx(promise.simulated_s / promise.limit_s)
        assert one.get_width() + more.get_width() == pytest.approx(promise.with_margin_s / promise.limit_s)
        assert one.get_width() + more.get_width() <= 1.0
    assert axes.get_yticklabels()[0].get_text().startswith("chat TTFT p95")


def test_memory_adds_up(outcome: Outcome) -> None:
    bars = plots(outcome).memory().containers
    for index, group in enumerate(outcome.plans[0].groups):
        assert math.fsum(bar[index].get_width() for bar in bars) == pytest.approx(group.memory.total, rel=1e-6)


def test_the_funnel_needs_no_plan(outcome: Outcome) -> None:
    empty = replace(outcome, plans=())
    (bars,) = plots(empty).funnel().containers
    widths = [bar.get_width() for bar in bars]
    assert widths[0] == outcome.proof.candidates_enumerated
    assert widths == sorted(set(widths), reverse=True)
    assert widths[-1] == outcome.funnel[-1].remaining
    for draw in (plots(empty).frontier, plots(empty).cost, plots(empty).memory):
        with pytest.raises(UsageError, match="no plan"):
            draw()
    with pytest.raises(UsageError, match="no plan #9"):
        plots(outcome).memory(rank=9)


def test_axes_of_ones_own_are_drawn_on(outcome: Outcome) -> None:
    from matplotlib.figure import Figure

    for draw in (plots(outcome).frontier, plots(outcome).cost, plots(outcome).promises, plots(outcome).memory):
        own = Figure().subplots()
        assert draw(ax=own) is own


def test_without_matplotlib_the_extra_is_named(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(UsageError, match=r"llm-deployment-optimizer\[charts\]"):
        plots(outcome).funnel()
