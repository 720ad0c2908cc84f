"""Charts of an outcome by matplotlib, for notebooks: what was found, drawn; nothing is solved again.

``outcome.plot.frontier()``; each function draws on the axes given, or on a figure of its own, and returns the axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from optimizer.errors import UsageError
from optimizer.units import from_cents

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Outcome: TypeAlias = Any
Plan: TypeAlias = Any
"""Those of ``types``, which asks this module for its charts."""

_MS = 1e3


@dataclass(frozen=True, slots=True)
class OutcomePlots:
    """The charts of one outcome."""

    outcome: Outcome

    def frontier(self, ax: Axes | None = None) -> Axes:
        """Monthly cost of the ranked plans against TTFT p95 in seconds.

        As replayed where a plan was, else as estimated; of several workloads the slowest. A line joins the plans that
        no other beats in both; a dashed one marks the tightest promise. Raises ``UsageError`` without a plan.
        """
        plans, axes = self._plans(), _axes(ax)
        points = [(_ttft_s(plan), from_cents(plan.monthly_cents), plan) for plan in plans]
        shown = [point for point in points if math.isfinite(point[0])]
        axes.plot([x for x, _, _ in shown], [y for _, y, _ in shown], "o", color="0.6", label="ranked plans")
        best = _unbeaten([(x, y) for x, y, _ in shown])
        axes.plot([x for x, _ in best], [y for _, y in best], "-s", label="frontier")
        for x, y, plan in shown:
            axes.annotate(f"#{plan.rank} {_cards(plan)}", (x, y), xytext=(5, 5), textcoords="offset points", fontsize=8)
        limits = [
            one.limit_s for asked in self.outcome.asked for one in asked.promises
            if one.metric == "ttft" and one.percentile == 95
        ]  # fmt: skip
        if limits:
            axes.axvline(min(limits), linestyle="--", color="0.3", label="promised")
        how = "replayed" if all(plan.simulated for plan in plans) else "estimated"
        axes.set(xlabel=f"TTFT p95, s, {how}", ylabel=f"{self.outcome.currency} a month", ylim=(0, None))
        axes.legend()
        return axes

    def cost(self, ax: Axes | None = None) -> Axes:
        """What each ranked plan costs a month: what serves, and the nodes in reserve beside it."""
        plans, axes = self._plans(), _axes(ax)
        names = [f"#{plan.rank} {_cards(plan)}" for plan in plans]
        reserve = [from_cents(sum(node.spare_cents for node in plan.nodes)) for plan in plans]
        serves = [from_cents(plan.monthly_cents) - kept for plan, kept in zip(plans, reserve, strict=True)]
        axes.barh(names, serves, label="serves")
        axes.barh(names, reserve, left=serves, label="in reserve")
        axes.invert_yaxis()
        axes.set_xlabel(f"{self.outcome.currency} a month")
        axes.legend()
        return axes

    def promises(self, rank: int = 1, ax: Axes | None = None) -> Axes:
        """How much of each promised limit a plan uses: as replayed, and with the margin for the error of the model.

        Raises ``UsageError`` where that plan was not replayed.
        """
        plan, axes = self._plan(rank), _axes(ax)
        promises = [(replay, one) for replay in plan.simulated for one in replay.promises]
        if not promises:
            raise UsageError(f"plan #{rank} was not replayed: solve without simulate=False")
        names = [_promise(replay.workload, one) for replay, one in promises]
        used = [one.simulated_s / one.limit_s for _, one in promises]
        margin = [one.with_margin_s / one.limit_s - share for (_, one), share in zip(promises, used, strict=True)]
        axes.barh(names, used, label="replayed")
        axes.barh(names, margin, left=used, hatch="//", alpha=0.6, label="margin for model error")
        axes.axvline(1.0, linestyle="--", color="0.3")
        axes.invert_yaxis()
        axes.set_xlabel("share of the promised limit")
        axes.legend()
        return axes

    def memory(self, rank: int = 1, ax: Axes | None = None) -> Axes:
        """What fills the fullest GPU of each workload of a plan, in GiB, and how much of it is usable."""
        plan, axes = self._plan(rank), _axes(ax)
        names = [group.workload if group.role == "serve" else f"{group.workload} {group.role}" for group in plan.groups]
        left = [0.0] * len(names)
        parts = (
            ("weights", "weights"),
            ("KV cache", "kv_cache"),
            ("activations", "activations"),
            ("engine", "overhead"),
        )
        for label, part in parts:
            sizes = [float(getattr(group.memory, part)) for group in plan.groups]
            axes.barh(names, sizes, left=left, label=label)
            left = [before + size for before, size in zip(left, sizes, strict=True)]
        usable = [group.memory.usable for group in plan.groups]
        axes.plot(usable, names, "k|", markersize=20, linestyle="none", label="usable")
        axes.invert_yaxis()
        axes.set_xlabel("GiB")
        axes.legend()
        return axes

    def funnel(self, ax: Axes | None = None) -> Axes:
        """How many configurations each rule leaves, from all that were enumerated down; also without a plan."""
        axes = _axes(ax)
        steps = [step for number, step in enumerate(self.outcome.funnel) if not number or self._tells(number)]
        axes.barh([step.rule for step in steps], [step.remaining for step in steps])
        axes.invert_yaxis()
        axes.set_xlabel("configurations left")
        return axes

    def _tells(self, number: int) -> bool:
        funnel = self.outcome.funnel
        return bool(funnel[number].remaining != funnel[number - 1].remaining)

    def _plans(self) -> Sequence[Plan]:
        if not self.outcome.plans:
            raise UsageError("there is no plan to draw: outcome.plot.funnel() shows what stands in the way")
        plans: Sequence[Plan] = self.outcome.plans
        return plans

    def _plan(self, rank: int) -> Plan:
        plans = self._plans()
        if not 1 <= rank <= len(plans):
            raise UsageError(f"there is no plan #{rank}: the ranking has {len(plans)}")
        return plans[rank - 1]


def _axes(ax: Axes | None) -> Axes:
    """Those given, or new ones. Raises ``UsageError`` where matplotlib is not installed."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        extra = "llm-deployment-optimizer[charts]"
        raise UsageError(f"charts need the package matplotlib: pip install '{extra}'") from error
    return plt.subplots(figsize=(8, 4), layout="constrained")[1]


def _ttft_s(plan: Plan) -> float:
    """TTFT p95 of the slowest workload, each as replayed where it was."""
    slowest = -math.inf
    for one in plan.predicted:
        replays = [replay for replay in plan.simulated if replay.workload == one.workload]
        slowest = max([slowest, *(each.ttft_ms.p95 / _MS for each in replays or [one])])
    return slowest


def _unbeaten(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other is at least as good as in both, the cheapest first."""
    kept: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[1], point[0])):
        if not kept or x < kept[-1][0]:
            kept.append((x, y))
    return kept


def _cards(plan: Plan) -> str:
    """``4x h100_sxm_80``; several kinds joined by ``+``."""
    kinds: dict[str, int] = {}
    for node in plan.nodes:
        kinds[node.gpu] = kinds.get(node.gpu, 0) + node.count * node.gpus_per_node
    return " + ".join(f"{count}x {gpu}" for gpu, count in kinds.items())


def _promise(workload: str, promise: Any) -> str:
    name = f"{str(promise.metric).upper()} p{promise.percentile:g}"
    return " ".join(part for part in (workload, promise.length_class, name) if part)
