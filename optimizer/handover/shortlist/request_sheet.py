"""The request for quotation: what is needed, as capability; an acceptance test; no vendor, no product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizer.handover.names import bash_line
from optimizer.handover.shortlist.cells import Cell, Look, Sheet
from optimizer.report.confirm import bench_commands
from optimizer.report.words import limit, promise_of
from optimizer.vocabulary import NVLINK_CLASS, Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Gpu
    from optimizer.handover.shortlist.inputs_sheet import Say
    from optimizer.handover.shortlist.priced import Case, PricedLine
    from optimizer.plan.types import Asked, Group, Plan, Prediction

_FLOOR = 0.95
"""Measured throughput that passes: a run of a few minutes scatters by a few percent."""


def request_sheet(case: Case, say: Say) -> Sheet:
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
    predicted = {one.workload: one for one in plan.predicted}
    asked_of = {one.workload: one for one in case.outcome.asked}
    for group in plan.groups:
        for label, value, look in _test(group, asked_of[group.workload], predicted[group.workload], say):
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


def _test(group: Group, asked: Asked, planned: Prediction, say: Say) -> Iterator[tuple[str, str, Look]]:
    gpus = group.tensor_parallel * group.pipeline_parallel
    yield say("Workload"), group.workload, Look.TEXT
    yield (
        say("Set-up"),
        f"{gpus} {say('accelerators serve one copy of the model')}, "
        f"{say('weights not coarser than')} {group.weight_quant}, "
        f"{say('requests up to')} {group.max_model_len:,} {say('tokens')}",
        Look.TEXT,
    )
    for client in bench_commands(group, asked, planned):
        yield say("Load on one copy"), bash_line(client), Look.MONO
    rate = planned.output_tokens_per_second / group.replicas * _FLOOR
    yield f"{say('Passes if')} {say('output tokens/s')}", f">= {rate:,.0f}", Look.TEXT
    for promise in asked.promises:
        name = promise_of(promise.metric, promise.percentile, promise.length_class)
        yield f"{say('Passes if')} {name}", f"<= {limit(promise.limit_s)}", Look.TEXT
    yield f"{say('Passes if')} {say('failed requests')}", "0", Look.TEXT
