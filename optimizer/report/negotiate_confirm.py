"""The report of ``optimize confirm``: both bills, what to measure first, and how."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from optimizer.demand import Lengths
from optimizer.negotiate.confirm import EVEN, HOURS, Confirmation, Measurement
from optimizer.performance.accuracy import ENOUGH_OWN
from optimizer.plan.types import Group, Plan
from optimizer.report.confirm import shell
from optimizer.report.json_plan import Json, Money, dump
from optimizer.report.json_report import document
from optimizer.report.layout import BLANK, Block, Line, Say, Style
from optimizer.report.negotiate_words import finished, heading, not_replayed, winner, wrapped
from optimizer.report.serve_commands import has_to_be_made, model_to_load, serve_words
from optimizer.report.verdicts import ways_out
from optimizer.report.words import gpu_name, money, quant_name

_RESULTS = "own_runs__"
"""Stands for ``own-*.json``, which is as long, while lines are folded."""

_LEVELS = 7
"""Numbers in flight of the loads to measure, from one to what the replica takes."""


def render_confirmation(answer: Confirmation, style: str, say: Say = str) -> str:
    """The answer as ``text`` or ``json``."""
    return _json(answer) if style == "json" else finished(_lines(answer), say)


def _lines(answer: Confirmation) -> Iterator[Block]:
    outcome = answer.outcome
    yield from heading("What a measurement is worth", outcome.problem_name, outcome.problem_path)
    yield from not_replayed(replayed=answer.replayed)
    yield BLANK
    for confidence, plan in ((answer.confidence, _first(outcome.plans)), (EVEN, _first(answer.even.plans))):
        bill = (f"at confidence {confidence:g}", ": ", _bill(plan, answer.currency))
        yield from wrapped(bill, "", "    ", Style.STRONG)
    if not outcome.plans and not answer.measurements:
        yield from ways_out(outcome)
    yield BLANK
    worth = [one for one in answer.measurements if one.chance > 0]
    yield from wrapped(_verdict(answer, worth), "", "", Style.STRONG)
    for number, one in enumerate(answer.measurements, start=1):
        yield BLANK
        yield from wrapped((f"{number}  ", *_setup(one)), "", "   ", Style.STRONG)
        yield from wrapped(_rent(one, answer.currency), "   ")
        yield from wrapped(_worth(one, answer), "   ")
    if answer.measurements:
        first = answer.measurements[0]
        yield BLANK
        asked = _asked(answer, first.group)
        yield Line(f"To measure {gpu_name(first.group.gpu)} at {len(_grid(first.group, asked))} loads", Style.HEADING)
        for command in commands(first.group, asked, str(outcome.problem_path), answer.sets):
            yield from (Line(f"  {line}", command=True) for line in command.split("\n"))


def _first(plans: tuple[Plan, ...]) -> Plan | None:
    return plans[0] if plans else None


def _bill(plan: Plan | None, currency: str) -> str:
    if plan is None:
        return "nothing keeps every promise"
    return f"{money(plan.monthly_cents, currency)} a month ({winner(plan)}; grade {plan.grade})"


def _verdict(answer: Confirmation, worth: list[Measurement]) -> str:
    if answer.confidence <= EVEN:
        return "No margin is asked (margins.confidence 0.5): there is nothing that a better forecast could give back."
    if worth:
        return f"Worth measuring before you sign, most first; {ENOUGH_OWN} loads narrow the band of a setup."
    if not answer.measurements:
        return "There is no setup whose measurement could lower the bill."
    even = answer.even_cents is not None and answer.even_cents == answer.asked_cents
    why = " even a sure forecast leads to the same bill, as whole nodes decide" if even else (
        " none of the setups below lowers the bill, however they turn out"
    )  # fmt: skip
    return f"A better forecast saves nothing here:{why}. Measure before you sign all the same."


def _setup(one: Measurement) -> tuple[str, ...]:
    group = one.group
    which = (", of #1",) if one.in_first else (", of ", winner(one.plan))
    made = " (no published checkpoint is known: make one first)" if has_to_be_made(group) else ""
    return f"{group.model} in {quant_name(group.weight_quant)}{made} on {gpu_name(group.gpu)}", *which


def _rent(one: Measurement, currency: str) -> str:
    if one.node is None:
        return "nobody rents such a node by the hour at a price that may rank: ask the seller for a trial"
    node = one.node
    cost = money(math.ceil(HOURS * node.hour_cents), currency)
    return f"{HOURS:g} hours on {node.gpus_per_node}x {gpu_name(node.gpu)} of {node.provider}: {cost}"


def _worth(one: Measurement, answer: Confirmation) -> str:
    count = len(one.outcomes)
    if answer.asked_cents is None:
        possible = [bill for bill in one.outcomes if bill is not None]
        if not possible:
            return "keeps no promise that it breaks today, however it turns out"
        least = money(min(possible), answer.currency)
        return f"with probability {one.chance:.1f} it shows that every promise can be kept, from {least} a month"
    parts = []
    gains = sorted(saved for saved in one.saved if saved)
    if gains:
        mean = sum(gains) / len(gains)
        parts.append(
            f"shows with probability {one.chance:.1f} that less would do, by "
            f"{money(round(mean), answer.currency)} a month on average then; "
            f"{money(round(one.expected_cents), answer.currency)} a month in expectation"
        )
    else:
        parts.append("does not lower the bill, however it turns out")
    if one.in_first:
        dearer = sum(bill is None or bill > answer.asked_cents for bill in one.outcomes)
        if dearer:
            parts.append(f"with probability {dearer / count:.1f} it shows that #1 as planned would not do")
        else:
            parts.append("#1 would do however it turns out")
    return "; ".join(parts)


def _grid(group: Group, asked: Lengths) -> list[tuple[int, int]]:
    """Prompt tokens and number in flight of at least ``ENOUGH_OWN`` loads: what is asked, half, twice and so on of
    the mean prompt, as far as context and answer leave room, and up to what the replica takes at once."""
    most = max(group.max_num_seqs, 1)
    levels = sorted({max(1, round(most ** (step / (_LEVELS - 1)))) for step in range(_LEVELS)})
    longest = max(group.max_model_len - _written(group, asked), 32)
    kinds = math.ceil(ENOUGH_OWN / len(levels))
    lengths: list[int] = []
    for step in range(4 * kinds):  # 1, 1/2, 2, 1/4, 4, ...
        factor = 2.0 ** (((step + 1) // 2) * (1 if step % 2 == 0 else -1))
        length = round(min(max(asked.input_mean * factor, 32), longest))
        lengths += [] if length in lengths or len(lengths) == kinds else [length]
    return [(length, level) for length in sorted(lengths) for level in levels]


def _written(group: Group, asked: Lengths) -> int:
    """Tokens that each request of the loads writes."""
    return max(min(round(asked.output_mean), group.max_model_len // 2), 1)


def _asked(answer: Confirmation, group: Group) -> Lengths:
    """The lengths that the workload of a group states."""
    return next(one.stated.lengths for one in answer.outcome.asked if one.workload == group.workload)


def commands(group: Group, asked: Lengths, file: str, sets: Sequence[str] = ()) -> list[str]:
    """The server, the loads, the fit and the answer anew under the same ``sets``, ready for a shell; ``asked``: the
    lengths of its requests."""
    serve, grid = serve_words(group), _grid(group, asked)
    lengths, levels = (" ".join(str(one) for one in dict.fromkeys(part)) for part in zip(*grid, strict=True))
    model = model_to_load(group)
    version = ["--engine-version", group.engine_version] if group.engine_version else []
    fit = ["optimize", "calibrate", _RESULTS, "--gpu", group.gpu, "--engine", group.engine, *version]
    fit += ["--weight-quant", group.weight_quant, "--kv-cache", "fp8" if group.kv_cache == "fp8" else "bf16"]
    fit += ["--tp", str(group.tensor_parallel), "--model", group.model, "-o", "own.csv"]
    load = (
        f"for i in {lengths}; do for c in {levels}; do\n"
        f"  vllm bench serve --model {model} \\\n"
        "    --dataset-name random --ignore-eos \\\n"
        f"    --random-input-len $i --random-output-len {_written(group, asked)} --max-concurrency $c \\\n"
        "    --num-prompts $((10 * c)) --seed $RANDOM \\\n"
        "    --save-result --result-filename own-$i-$c.json\n"
        "done; done"
    )
    own = [shell(serve)] if serve else []
    anew = ["optimize", file, *(word for one in sets for word in ("--set", one))]
    calibrate = shell(fit).replace(_RESULTS, "own-*.json")  # the shell has to see the pattern bare
    return [*own, load, calibrate, shell([*anew, "--calibration", "own.csv"])]


def _json(answer: Confirmation) -> str:
    return dump({
        **document(answer.outcome),
        "confirm": {
            "confidence": answer.confidence,
            "monthly_cost": _money(answer.asked_cents),
            "monthly_cost_without_margin": _money(answer.even_cents),
            "measurements": [_document(one, answer) for one in answer.measurements],
        },
    })  # fmt: skip


def _document(one: Measurement, answer: Confirmation) -> dict[str, Json]:
    group, node = one.group, one.node
    rent: dict[str, Json] = {} if node is None else {
        "provider": node.provider, "gpus_per_node": node.gpus_per_node, "hours": HOURS,
        "cost": Money(math.ceil(HOURS * node.hour_cents)),
    }  # fmt: skip
    return {
        "gpu": group.gpu,
        "model": group.model,
        "weight_quant": group.weight_quant,
        "kv_cache": group.kv_cache,
        "tensor_parallel": group.tensor_parallel,
        "in_first": one.in_first,
        "node": rent or None,
        "probability": one.chance,
        "expected_saving_monthly": None if answer.asked_cents is None else Money(round(one.expected_cents)),
        "monthly_costs": [_money(bill) for bill in one.outcomes],
        "commands": commands(group, _asked(answer, group), str(answer.outcome.problem_path), answer.sets),
    }


def _money(cents: int | None) -> Money | None:
    return None if cents is None else Money(cents)
