"""The report of ``optimize frontier``: a staircase as text, JSON, CSV and, with the ``charts`` extra, as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from optimizer.negotiate.frontier import Curve, Frontier, Step
from optimizer.plan.types import Plan
from optimizer.report.json_plan import Json, Money, dump
from optimizer.report.layout import BLANK, Block, RemarkedRows, Say
from optimizer.report.negotiate_words import finished, hardware, heading, not_replayed, sources, winner, wrapped
from optimizer.report.words import Names, exact, money, percentile_name
from optimizer.whatif.case import Goal

_TITLES = {
    "maximize_load": "Most load",
    "minimize_ttft": "Lowest TTFT",
    "minimize_tpot": "Lowest TPOT",
    "minimize_gpus": "Fewest GPUs",
}

NONE = "no deployment keeps every promise"


def render_frontier(answer: Frontier, style: str, say: Say = str) -> str:
    """The frontier as ``text``, ``json`` or ``csv``."""
    if style == "json":
        return dump(_document(answer))
    return _csv(answer) if style == "csv" else finished(_lines(answer), say)


def _lines(answer: Frontier) -> Iterator[Block]:
    names = Names(answer.several_workloads, answer.currency)
    path, values = answer.over.path, answer.over.values
    ends = f"{exact(min(values))} to {names.value(path, max(values))}"
    yield from heading(
        f"{_TITLES.get(answer.goal.objective, 'Cost')} over {names.of(path)}", answer.problem_name, answer.problem_path
    )
    yield from wrapped(f"{ends}; the field is {path}")
    yield from not_replayed(replayed=answer.replayed)
    if answer.exact:
        step = names.value(path, round(abs(values[1] - values[0]), 9))
        yield from wrapped(f"Exact: every value at which another deployment wins is listed, in steps of {step}.")
    else:
        what = (
            "the best deployment may change back and forth along"
            if answer.over.monotone
            else "cost may rise and fall with"
        )
        yield from wrapped(
            f"Sampled: {what} this field, so changes between two sampled values with the same "
            "winner could be missing; the edges that are listed are exact."
        )
    yield BLANK
    for curve in answer.curves:
        if answer.against is not None and curve.against is not None:
            label = f"{names.of(answer.against.path)} {names.value(answer.against.path, curve.against)}"
            yield from wrapped(f"{label}: {_short(curve, names, path)}", "  ", "      ")
        else:
            yield from _steps(curve, answer, names)
    yield BLANK


def _short(curve: Curve, names: Names, path: str) -> str:
    """One cost after the other: ``50 to 92 $16,955; 93 to 99 $20,148``."""
    parts: list[tuple[float, float, str]] = []
    for step in curve.steps:
        cost = _cost(step, names)
        if parts and parts[-1][2] == cost:
            parts[-1] = (parts[-1][0], step.last, cost)
        else:
            parts.append((step.first, step.last, cost))
    return "; ".join(f"{_range(first, last)} {cost}" for first, last, cost in parts)


def _steps(curve: Curve, answer: Frontier, names: Names) -> Iterator[Block]:
    """A row per step: values, what the objective reaches where it is not the money, the money, the deployment."""
    result = _result(answer.goal)
    head = [names.of(answer.over.path), *([result] if result else []), "a month"]
    rows = [head]
    for step in curve.steps:
        reached = [_reached(step, answer.goal)] if result else []
        rows.append([_range(step.first, step.last), *reached, _cost(step, names)])
    whats = ["deployment that wins", *(winner(step.plan) if step.plan else NONE for step in curve.steps)]
    remarked = ((*row, what) for row, what in zip(rows, whats, strict=True))
    yield RemarkedRows(tuple(remarked), ">" * (len(head) - 1) + "<")


def _result(goal: Goal) -> str:
    """What the objective reaches, as the head of a column; empty where that is the money."""
    match goal.objective:
        case "minimize_ttft" | "minimize_tpot":
            at = "" if goal.percentile is None else f" {percentile_name(goal.percentile)}"
            return f"reached {goal.objective.removeprefix('minimize_').upper()}{at}"
        case "maximize_load":
            return "times the planned load" if goal.states_load else "requests in flight"
        case "minimize_gpus":
            return "GPUs"
    return ""


def _reached(step: Step, goal: Goal) -> str:
    if step.first_reached is None or step.last_reached is None:
        return "-"
    unit = " ms" if goal.objective in ("minimize_ttft", "minimize_tpot") else ""
    first, last = (exact(round(value, 1 if unit else 3)) for value in (step.first_reached, step.last_reached))
    return f"{first}{unit}" if first == last else f"{first} to {last}{unit}"


def _range(first: float, last: float) -> str:
    """Loosest value first, both included."""
    return exact(first) if first == last else f"{exact(first)} to {exact(last)}"


def _cost(step: Step, names: Names) -> str:
    if step.first_cents is None or step.last_cents is None:
        return "-"
    first, last = money(step.first_cents, names.currency), money(step.last_cents, names.currency)
    return first if first == last else f"{first} to {last}"


def _document(answer: Frontier) -> dict[str, Json]:
    against = answer.against
    return {
        "problem": {"name": answer.problem_name, "path": answer.problem_path, "sha256": answer.problem_sha256},
        "currency": answer.currency,
        "over": answer.over.path,
        "exact": answer.exact,
        "replayed": answer.replayed,
        "objective": answer.goal.objective,
        "against": None if against is None else against.path,
        "curves": [
            {"against": curve.against, "steps": [_step(step) for step in curve.steps]} for curve in answer.curves
        ],
    }


def _step(step: Step) -> dict[str, Json]:
    return {
        "from": step.first,
        "to": step.last,
        "monthly_cost_from": None if step.first_cents is None else Money(step.first_cents),
        "monthly_cost_to": None if step.last_cents is None else Money(step.last_cents),
        "objective_from": step.first_reached,
        "objective_to": step.last_reached,
        "winner": None if step.plan is None else _winner(step.plan),
    }


def _winner(plan: Plan) -> dict[str, Json]:
    return {
        "deployment": winner(plan),
        "gpus": plan.gpus,
        "grade": plan.grade,
        "proven": plan.proven,
        "nodes": [
            {"offer_id": node.offer_id, "provider": node.provider, "tier": str(node.tier), "count": node.count}
            for node in plan.nodes
        ],
        "groups": [
            {
                "workload": group.workload,
                "gpu": group.gpu,
                "weight_quant": group.weight_quant,
                "kv_cache": group.kv_cache,
                "tensor_parallel": group.tensor_parallel,
                "pipeline_parallel": group.pipeline_parallel,
                "attention_dp": group.attention_dp,
                "expert_parallel": group.expert_parallel,
                "replicas": group.replicas,
            }
            for group in plan.groups
        ],
    }


def _csv(answer: Frontier) -> str:
    stream = io.StringIO()
    out = csv.writer(stream, lineterminator="\n")
    header = ["from", "to", "monthly_cost_from", "monthly_cost_to", "currency", "gpus", "deployment", "source"]
    out.writerow([*([answer.against.path] if answer.against else []), *header])
    for curve in answer.curves:
        for step in curve.steps:
            plan = step.plan
            row = [f"{step.first:.12g}", f"{step.last:.12g}", _amount(step.first_cents), _amount(step.last_cents)]
            row += [answer.currency, *((plan.gpus, winner(plan), sources(plan)) if plan else ("", NONE, ""))]
            out.writerow([*([f"{curve.against:.12g}"] if curve.against is not None else []), *row])
    return stream.getvalue()


def _amount(cents: int | None) -> str:
    return "" if cents is None else f"{cents / 100:.2f}"


def draw(answer: Frontier, path: Path) -> bytes:
    """The chart as SVG or PNG, by the suffix of ``path``. Raises ``UsageError`` without the ``charts`` extra."""
    from optimizer.errors import Finding, UsageError

    kind = path.suffix.lower().lstrip(".")
    if kind not in ("svg", "png"):
        raise UsageError([Finding(f"a chart is .svg or .png, not {path.suffix or 'without a suffix'}", file=str(path))])
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = "pip install 'llm-deployment-optimizer[charts]'"
        raise UsageError([Finding("charts need matplotlib, which is not installed", hint=hint)]) from error
    names = Names(answer.several_workloads, answer.currency)
    with mpl.rc_context({"svg.hashsalt": answer.problem_sha256, "font.size": 9}):
        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.add_subplot()
        colours = mpl.colormaps["viridis"]
        for number, curve in enumerate(answer.curves):
            label = None
            if answer.against is not None and curve.against is not None:
                label = f"{names.of(answer.against.path)} {names.value(answer.against.path, curve.against)}"
            colour = colours(number / max(1, len(answer.curves) - 1))
            for step in curve.steps:
                if step.first_cents is not None and step.last_cents is not None:
                    ends = (step.first_cents / 100, step.last_cents / 100)
                    axes.plot((step.first, step.last), ends, color=colour, marker="|", label=label)
                    label = None
                    if answer.against is None and step.plan is not None:
                        axes.annotate(hardware(step.plan), (step.first, ends[0]), rotation=45, fontsize=7)
        axes.set(xlabel=f"{names.of(answer.over.path)}", ylabel=f"{answer.currency} a month", title=answer.problem_name)
        axes.set_ylim(bottom=0)
        if answer.against is not None:
            axes.legend(fontsize=7, ncols=2)
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return stream.getvalue()
