"""The Summary sheet: the answer in a sentence, the ranking with live amounts, the two verdicts.

The request for quotation: what is needed, as capability; an acceptance test; no vendor, no product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.handover.safe_text import bash_line
from optimizer.handover.shortlist.cells import Cell, Look, Sheet, money, number
from optimizer.handover.shortlist.cost_sheet import YEARS
from optimizer.handover.shortlist.plain_forms import hardware, kept, kept_head, setup, sources
from optimizer.report import status_of
from optimizer.report.api import api_sentence
from optimizer.report.confirm import acceptance, bench_words, brackets, offer_sentence, tests_in
from optimizer.report.screen_no_plan import refused
from optimizer.report.screen_words import between
from optimizer.vocabulary import NVLINK_CLASS, WIDE_GBPS, Evidence, Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Gpu
    from optimizer.handover.shortlist.cells import PricedLine, ShortlistCase
    from optimizer.handover.shortlist.cost_sheet import PlanTotals, Say
    from optimizer.plan.experiment import Experiment
    from optimizer.plan.types import Asked, Group, Outcome, Plan


CHANGED = 0.005
"""A total that differs by more is no longer the one that was solved."""


def summary_sheet(case: ShortlistCase, totals: dict[int, PlanTotals], say: Say) -> Sheet:
    """Build the sheet."""
    outcome = case.outcome
    sheet = Sheet(say("Summary"), (12, 24, 24, 28, 13, 13, 13, 13, 12, 9, 26, 10, 7, 15, 13, 9))
    sheet.title_row(outcome.problem_name)
    told = sheet.add(Cell("" if outcome.plans else say(refused(outcome)), Look.LINE))
    sheet.gap()
    for label, value in _facts(outcome, say):
        sheet.add(Cell(label, Look.HEAD), Cell(value, Look.LINE))
    sheet.gap()
    if outcome.plans:
        first = len(sheet.rows) + 2
        sheet.rows[told - 1] = (_answer(outcome, first, say),)
        _ranking(sheet, outcome, totals, say)
        if sentence := api_sentence(outcome.plans[0]):
            sheet.note(f"API: {say(sentence)}.")
            sheet.gap()
        _unit_costs(sheet, outcome, first, say)
    _question(sheet, outcome, say)
    for warning in outcome.warnings:
        sheet.note(f"{say('Note')}: {say(warning)}")
    return sheet


def _answer(outcome: Outcome, row: int, say: Say) -> Cell:
    """The first choice, whose plan stands in that row, with its amount as it is now."""
    best = outcome.plans[0]
    head = f"{say('First choice')}: "
    kind = f" ({say('indicative price')})" if best.price_evidence is Evidence.INDICATIVE else ""
    unit = f" {best.currency} {say('a month')}{kind}, {say('grade')} "
    dearer = f" {say('At these amounts another is cheaper: run the optimizer again.')}"
    if outcome.proof.objective != "minimize_cost":  # the first need not be the cheapest
        dearer = ""
    is_beaten = any(plan.monthly_cents < best.monthly_cents for plan in outcome.plans)
    text = f"{head}{hardware(best)}, {say(setup(best))}, {best.monthly_cents / 100:,.2f}{unit}{best.grade}."
    formula = (
        f'CONCATENATE("{head}",B{row},", ",C{row},", ",TEXT(E{row},"#,##0.00"),"{unit}",M{row},".",'
        f'IF(P{row}>1,"{dearer}",""))'
    )
    return Cell(text + (dearer if is_beaten else ""), Look.LINE, formula)


def _facts(outcome: Outcome, say: Say) -> list[tuple[str, str]]:
    proof = outcome.proof
    gap = say("gap unknown") if proof.gap is None else f"{say('gap')} {proof.gap:.2%}"
    prices = f"{say('prices from')} {say('your own prices and hardware')}"
    if proof.prices_from and proof.prices_to:
        prices = say(f"prices {between(proof.prices_from, proof.prices_to)}")
    arithmetic = (
        f"{say(status_of(outcome))}, {gap}; {proof.candidates_enumerated:,} {say('configurations enumerated')}; "
        f"{prices}; {say('performance model')} {proof.performance_model}"
    )
    physics = (
        say("none")
        if not outcome.plans
        else f"{say('grade')} {outcome.plans[0].grade}; {say('confirm with the acceptance test before you sign')}"
    )
    return [
        (say("problem"), f"{Path(outcome.problem_path).name}, sha256 {outcome.problem_sha256[:12]}"),
        (say("arithmetic"), arithmetic),
        (say("physics"), physics),
    ]


def _ranking(sheet: Sheet, outcome: Outcome, totals: dict[int, PlanTotals], say: Say) -> None:
    horizons = [f"{years} {say('years') if years > 1 else say('year')}" for years in YEARS]
    sheet.head(
        say("rank"),
        say("hardware"),
        say("setup"),
        say("from"),
        f"{say('per month')}, {outcome.currency}",
        *horizons,
        say("more than #1"),
        say("in percent"),
        say(kept_head(outcome)),
        say("headroom"),
        say("grade"),
        say("against the solved total"),
        say("owed on signing"),
        say("place by cost now"),
    )
    sheet.freeze(2)
    first = len(sheet.rows) + 1
    best = outcome.plans[0]
    every = f"$E${first}:$E${first + len(outcome.plans) - 1}"
    for plan in outcome.plans:
        row = len(sheet.rows) + 1
        place = 1 + sum(other.monthly_cents < plan.monthly_cents for other in outcome.plans)
        cells = _plan(plan, best, totals[plan.rank], row, first, say)
        sheet.add(*cells, Cell(place, Look.RANK, f"RANK(E{row},{every},1)"))
    sheet.note(
        say("Amounts follow the sheet 'Inputs'. After a change, run the optimizer again: the ranking may differ.")
    )
    sheet.gap()


def _each(value: float | None, monthly: float, total: str) -> Cell:
    """The cost of one of so many that the month's total pays for."""
    if value is None or not math.isfinite(value) or not value:
        return number(value, Look.RATE)
    return Cell(value, Look.RATE, f"{total}/{monthly / value:.17g}")


def _unit_costs(sheet: Sheet, outcome: Outcome, first: int, say: Say) -> None:
    """What a token, a request and a user cost under each plan, whose totals stand from row ``first`` on."""
    plans = [plan for plan in outcome.plans if plan.unit_costs is not None]
    if not plans:
        return
    labels = ("per million output tokens", "per million input tokens", "per request", "per user and month")
    sheet.head(say("rank"), *map(say, labels), say("expected output tokens a month"))
    for plan in plans:
        costs = plan.unit_costs
        assert costs is not None
        values = (
            costs.per_million_output_tokens, costs.per_million_input_tokens, costs.per_request, costs.per_user_month,
        )  # fmt: skip
        sheet.add(
            Cell(f"#{plan.rank}"),
            *(_each(value, plan.monthly_cents / 100, f"E{first + plan.rank - 1}") for value in values),
            round(costs.expected_output_tokens_per_month),
        )
    sheet.note(
        say(
            "Unit costs are on the volume that is expected at the stated load; peak factor and headroom do not count"
            " in it."
        )
    )
    sheet.gap()


def _plan(plan: Plan, best: Plan, totals: PlanTotals, row: int, first: int, say: Say) -> list[Cell | str | int]:
    solved, changed = say("as solved"), say("changed: run again")
    tie = f" ({say('tie with')} #{plan.tie_with})" if plan.tie_with else ""
    more = plan.monthly_cents - best.monthly_cents
    share = more / best.monthly_cents if best.monthly_cents else 0.0
    return [
        Cell(plan.rank, Look.RANK),
        hardware(plan) + tie,
        say(setup(plan)),
        say(sources(plan)),
        *(money(value, ref) for value, ref in zip(totals.cents, totals.refs, strict=True)),
        money(more, f"E{row}-$E${first}"),
        Cell(share, Look.PERCENT, f"IF($E${first}=0,0,E{row}/$E${first}-1)"),
        "; ".join(kept(plan)) or say("none stated"),
        number(plan.load_factor - 1, Look.PERCENT),
        plan.grade,
        Cell(solved, Look.TEXT, f'IF(ABS(E{row}-{plan.monthly_cents / 100:.2f})<{CHANGED},"{solved}","{changed}")'),
        money(plan.owed.now_cents),
    ]


def _question(sheet: Sheet, outcome: Outcome, say: Say) -> None:
    sheet.head(
        say("workload"),
        say("model"),
        say("tokens in / out"),
        say("longest request"),
        say("requests/s"),
        say("in flight"),
        say("output tokens/s"),
    )
    loads = {load.workload: load for load in outcome.loads}
    for asked in outcome.asked:
        load = loads.get(asked.workload)
        figures = (
            [number(v) for v in (load.requests_per_second, load.inflight, load.output_tokens_per_second)]
            if load
            else []
        )
        sheet.add(
            Cell(asked.workload),
            Cell(asked.model),
            f"{asked.input_tokens:,.0f} / {asked.output_tokens:,.0f}",
            asked.context_max,
            *figures,
        )
    for rule in outcome.rules:
        sheet.note(f"{say('Rule')}: {say(rule)}")


def request_sheet(case: ShortlistCase, say: Say) -> Sheet:
    """Build the sheet from the first choice."""
    sheet = Sheet(say("Request for quotation"), (40, 110), landscape=False)
    sheet.title_row(say("Request for quotation: capacity to serve a language model"))
    sheet.gap()
    if not case.outcome.plans:
        sheet.add(say("There is no plan to ask for."))
        return sheet
    plan = case.outcome.plans[0]
    sheet.head(say("1. What is needed"), "")
    for line in case.of(plan):
        for label, value in _needed(plan, line, say):
            sheet.add(say(label), value)
    sheet.add(say("Equivalents"), say("Other cards and node sizes are welcome where the acceptance test passes."))
    sheet.gap()
    sheet.head(say("2. What it is for"), "")
    for asked in case.outcome.asked:
        for label, value in _asked(asked):
            sheet.add(say(label), value)
    sheet.gap()
    sheet.head(say("3. Acceptance test"), "")
    for group, experiment in tests_in(plan, case.outcome.asked):
        for label, value, look in _test(group, experiment, say):
            sheet.add(label, Cell(value, look))
    sheet.gap()
    sheet.head(say("4. Please state"), "")
    for item in (
        "Price per node and unit, currency, tax, validity of the price",
        "Payment terms, commitment and its length",
        "Delivery time and available quantity",
        "Location, network inside and between nodes",
        "Rack units, kW nameplate and typical, air or liquid cooling",
        "Support, replacement times, availability",
        "Storage and outgoing traffic, if charged",
    ):
        sheet.add(say(item), Cell(None, Look.BLANK))
    return sheet


def _needed(plan: Plan, line: PricedLine, say: Say) -> Iterator[tuple[str, str]]:
    node, gpu = line.node, line.option.node_type.gpu
    terms = {Tier.PURCHASE: "purchase", Tier.OWNED: "owned", Tier.SPOT: "rent, interruptible"}.get(node.tier, "rent")
    months = f", {node.commitment_months} {say('months')}" if node.commitment_months else ""
    spare = f", {node.spare} {say('of them in reserve')}" if node.spare else ""
    yield "Nodes", f"{node.count}{spare}"
    yield "Accelerators per node", str(node.gpus_per_node)
    yield "Each accelerator, at least", _card(gpu, {group.weight_quant for group in plan.groups})
    if node.gpus_per_node > 1 and node.link in NVLINK_CLASS and gpu.link_gb_s:
        yield (
            "Links between accelerators",
            f"{say('direct, both directions together at least')} {gpu.link_gb_s:,.0f} GB/s",
        )
    elif node.gpus_per_node > 1:
        yield "Links between accelerators", say("PCI Express is enough")
    here = [one for one in plan.groups if (one.gpu, one.gpus_per_node) == (node.gpu, node.gpus_per_node)]
    pools = [str(one.role) for one in here]
    if plan.has_pools:
        yield "Pool", ", ".join(say(role) for role in pools)
        if node.network_gbps:
            least = say("RDMA into GPU memory, one fabric for both pools, Gb/s of a node at least")
            yield "Network between nodes", f"{least}: {node.network_gbps:,.0f}"
    if any(one.ranks_over_nodes for one in here):
        least = say("RDMA into GPU memory, one fabric for all nodes of a copy, Gb/s for each accelerator at least")
        yield "Network between nodes", f"{least}: {WIDE_GBPS:.0f}"
    yield "Terms", say(terms) + months


def _card(gpu: Gpu, formats: set[str]) -> str:
    parts = [f"{gpu.memory_gb:,.0f} GB", f"{gpu.bandwidth_gb_s:,.0f} GB/s"]
    parts += [f"{gpu.bf16_tflops:,.0f} TFLOPS 16-bit"] if gpu.bf16_tflops else []
    parts += [f"{gpu.fp8_tflops:,.0f} TFLOPS FP8"] if gpu.fp8_tflops and "fp8" in formats else []
    parts += [f"{gpu.int8_tops:,.0f} TOPS INT8"] if gpu.int8_tops and "int8" in formats else []
    return ", ".join(parts)


def _asked(asked: Asked) -> Iterator[tuple[str, str]]:
    yield "Workload", asked.workload
    yield "Model", asked.model
    yield "Tokens in / out (mean)", f"{asked.input_tokens:,.0f} / {asked.output_tokens:,.0f}"
    yield "Longest request, tokens", f"{asked.context_max:,}"


def _test(group: Group, experiment: Experiment, say: Say) -> Iterator[tuple[str, str, Look]]:
    yield say("Workload"), group.workload, Look.TEXT
    yield (
        say("Set-up"),
        f"{group.gpus} {say('accelerators serve one copy of the model')}, "
        f"{say('weights not coarser than')} {group.weight_quant}, "
        f"{say('requests up to')} {group.max_model_len:,} {say('tokens')}",
        Look.TEXT,
    )
    yield say("What it sends"), say(offer_sentence(experiment)), Look.TEXT
    yield say("Load on one copy"), bash_line([*bench_words(group, experiment, group.model), "--seed", "1"]), Look.MONO
    yield say("Runs"), say("each with another --seed, so that no prompt is in a cache from before"), Look.TEXT
    for name, condition in acceptance(experiment):
        yield f"{say('Passes if')} {say(name)}", condition, Look.TEXT
    for line in brackets(experiment):
        yield say("Expected, no condition"), line, Look.TEXT
