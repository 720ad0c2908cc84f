"""Below the table: the arithmetic verdict, the physics verdict, the funnel, the ways out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optimizer.plan.types import FunnelStep, Infeasible, Outcome, Plan, Proof, Relaxation
from optimizer.problem import place_of
from optimizer.report.confirm import REQUESTS_FILE, brackets, confirm_commands, offer_sentence, tests_in
from optimizer.report.layout import BLANK, Block, Line, Passage, Rows, Style
from optimizer.report.periods import rejections
from optimizer.report.words import counted, distinction, gpu_name, money, percent, plural, price, unit_of, yaml_scalar

_SUPERLATIVE = {
    "minimize_cost": "is the cheapest",
    "maximize_load": "carries the most load",
    "minimize_ttft": "has the lowest time to first token (TTFT)",
    "minimize_tpot": "has the lowest time per output token (TPOT)",
    "minimize_gpus": "needs the fewest GPUs",
}
SUPERLATIVE = {
    "minimize_cost": "cheapest",
    "maximize_load": "most load",
    "minimize_ttft": "lowest TTFT",
    "minimize_tpot": "lowest TPOT",
    "minimize_gpus": "fewest GPUs",
}
"""The same, before ``of so many setups``."""

_ASKED = 5
"""Cards to bring a quote for that are printed."""

GRADE_MEANS = {
    "A": "this GPU, model family and precision have been measured together",
    "B": "one of GPU, model family, precision and layout is inferred, the others have been measured together",
    "C": "extrapolated, or never measured under load; expect the wide band",
}


def verdicts(outcome: Outcome) -> Iterator[Block]:
    """Two verdicts, never one: whether the sum is right, and whether the machine will behave."""
    first = outcome.plans[0]
    yield Line("Two verdicts", Style.HEADING)
    yield Passage(tuple(_arithmetic(outcome)), label="arithmetic", column=12)
    yield Passage(tuple(_physics(first)), label="physics", column=12)
    yield from _confirm(outcome, first)
    yield from _notes(outcome.plans)
    yield BLANK


def _arithmetic(outcome: Outcome) -> Iterator[str]:
    """Sentence by sentence, each with the blank before it."""
    proof = outcome.proof
    best = _SUPERLATIVE.get(proof.objective, f"is best by {proof.objective}")
    if outcome.plans[0].proven:
        claim = f"proven: #1 {best} among the"
    else:
        gap = "an unknown gap" if proof.gap is None else f"a gap of at most {percent(proof.gap)}"
        claim = f"not proven: #1 {best} found so far, with {gap} to the best possible, among the"
    yield f"{claim} {_basis(proof)}."
    yield from _set_aside(proof, len(outcome.plans))
    if len(outcome.plans) > 1 and outcome.distinct_by:
        proven = "Each further rank is proven" if all(plan.proven for plan in outcome.plans) else "Each further rank is"
        differs = " or ".join(distinction(name) for name in outcome.distinct_by)
        yield " "
        if outcome.mixes:
            yield f"{proven} the best that lacks some {differs} of each above it."
        else:
            yield f"{proven} the best that differs from all above it in {differs}."


def _basis(proof: Proof) -> str:
    """What the arithmetic rests on, in the words every report uses."""
    prices = "your own prices and hardware"
    if proof.prices_from is not None:
        dates = (
            proof.prices_from if proof.prices_from == proof.prices_to else f"{proof.prices_from} to {proof.prices_to}"
        )
        prices = f"prices from {dates}"
    return (
        f"{plural(proof.candidates_enumerated, 'configuration')} enumerated, "
        f"under performance model {proof.performance_model} and {prices}"
    )


def _set_aside(proof: Proof, ranks: int) -> Iterator[str]:
    yield from (" ", f"{proof.candidates_feasible:,} of them can keep every promise.")
    if proof.candidates_screened:
        unsolved = f"{proof.candidates_screened:,} were set aside unsolved:"
        yield from (" ", f"{unsolved} their cheapest nodes alone cost more than #{ranks}.")
    if proof.replay.replayed is not None:
        bounded = f"{proof.replay.bounded:,} that could not have been cheaper by a bound"
        yield from (" ", f"{plural(proof.replay.replayed, 'kind')} of replica replayed, {bounded}.")
    if proof.replay_rejected:
        yield from (" ", f"{plural(proof.replay_rejected, 'configuration')} rejected by replay (below).")


def _physics(plan: Plan) -> Iterator[str]:
    reasons = dict.fromkeys(reason for one in plan.predicted for reason in one.grade_reasons)
    yield f"#{plan.rank} is grade {plan.grade}: {GRADE_MEANS.get(plan.grade, 'see the notes')}"
    yield from (" (", "; ".join(reasons), ").") if reasons else (".",)
    if any(one.upper_bound for one in plan.predicted):
        yield from (
            " ",
            "Its cost is an upper bound: models of this kind usually run with techniques that are not modelled yet"
            " (speculative decoding, prefill and decode on separate pools), which make them cheaper.",
        )


def _confirm(outcome: Outcome, plan: Plan) -> Iterator[Block]:
    commands = confirm_commands(plan, outcome.asked)
    if not commands:
        return
    text = "Confirm before you sign: start a server, send what was promised, another --seed in every run:"
    yield Passage(text)
    for command in commands:
        yield from (Line(f"    {text}", command=True) for text in command.splitlines())
    for group, experiment in tests_in(plan, outcome.asked):
        about = f"{group.workload}: " if len(plan.groups) > 1 else ""
        yield Passage((about, offer_sentence(experiment)), indent="      ", hang="      ")
        for text in brackets(experiment):
            yield Line(f"      {text}")
        if not experiment.test.plain:
            yield Line(f"      {REQUESTS_FILE} is written by the benchmark of `optimize launch`")


def _notes(plans: tuple[Plan, ...]) -> Iterator[Block]:
    """Each note once, with the ranks it concerns; what the verdict on the first plan already says is left out."""
    said = {reason for one in plans[0].predicted for reason in one.grade_reasons}
    ranks: dict[str, list[str]] = {}
    for plan in plans:
        for note in plan.notes:
            if plan.rank != plans[0].rank or note not in said:
                ranks.setdefault(note, []).append(f"#{plan.rank}")
    if ranks:
        yield BLANK
        yield Line("Notes on the ranking", Style.HEADING)
    for note, concerned in ranks.items():
        yield Passage((f"{', '.join(concerned)}: ", note), hang="    ", style=Style.CAUTION)


def funnel(outcome: Outcome) -> Iterator[Block]:
    """How the configurations dwindled, rule by rule."""
    if not outcome.funnel:
        return
    yield Line("How the choice narrowed", Style.HEADING)
    rows = [("rule", "left", "cheapest that it removed")]
    for step in _telling(outcome.funnel):
        removed = step.cheapest_removed_cents
        cheapest = "" if removed is None else f"{money(removed, outcome.currency)}/mo"
        rows.append((step.rule, f"{step.remaining:,}", cheapest))
    yield Rows(tuple(rows), "<>>")
    silent = len(outcome.funnel) + 1 - len(rows)
    if silent:
        yield Line(f"  {plural(silent, 'further rule')} removed nothing")
    for step in outcome.funnel:
        if step.note:
            yield Passage((step.rule, ": ", step.note), hang="    ")
    yield BLANK


def _telling(steps: tuple[FunnelStep, ...]) -> list[FunnelStep]:
    """The first step and those that removed something."""
    before = (None, *(step.remaining for step in steps))
    return [step for step, left in zip(steps, before, strict=False) if step.remaining != left]


def no_plan(outcome: Outcome) -> Iterator[Block]:
    """Nothing to rank: say what that means and what to change."""
    if isinstance(outcome, Infeasible):
        head = (
            f"No deployment keeps every promise. Proven over the {_basis(outcome.proof)}."
            if outcome.proof.candidates_enumerated
            else "No deployment keeps every promise: no configuration is left to enumerate."
        )
    else:
        head = (
            "Unknown: the search ended at its time limit with neither a plan nor a proof that none exists, "
            f"over the {_basis(outcome.proof)}. Allow more time, or narrow hardware.gpus or hardware.providers."
        )
    yield Passage(head, indent="", style=Style.STRONG)
    yield BLANK
    yield from rejections(outcome)
    yield from funnel(outcome)
    yield from ways_out(outcome)


def ways_out(outcome: Outcome) -> Iterator[Block]:
    """Edits of the problem file that would make it possible."""
    if not isinstance(outcome, Infeasible):
        return
    yield Line("What would make it possible", Style.HEADING)
    if not outcome.relaxations and not outcome.unpriced:
        yield Passage(hint(outcome.funnel))
        yield BLANK
        return
    yield from unpriced(outcome)
    if outcome.relaxations:
        yield from edits(outcome.relaxations, outcome.currency)


def hint(steps: Sequence[FunnelStep] = ()) -> str:
    """What is left when not even giving up every promise helps, and which of the steps above leaves nothing."""
    last = next((step.rule for step in steps if step.remaining == 0), None)
    where = f" The rule '{last}' in the table above leaves 0." if last else ""
    return (
        "Nothing in the catalog could do it at a price that may be ranked, even with every promise given up; from whom"
        f" and from where to buy was left as the file says.{where} A quote of your own (under offers) for a card that"
        " can run the model might, or a smaller model or precision."
    )


def unpriced(outcome: Outcome) -> Iterator[Block]:
    """Nodes that would do, but that nobody prices within the buyer's rules: what to bring a quote for."""
    if not outcome.unpriced:
        return
    if outcome.plans:
        yield Line("Not priced", Style.HEADING)
    else:
        text = "These nodes keep every promise, but have no price that may be ranked under the rules of the file:"
        yield Passage(text)
    for one in outcome.unpriced[:_ASKED]:
        nodes = "" if one.nodes == 1 else f"{one.nodes} nodes of "
        quote = f"bring a quote for {nodes}{one.gpus_per_node}x {gpu_name(one.gpu)}"
        served = f"for {', '.join(one.workloads)}"
        wins = "any price is better than no plan"
        if one.ask_below_cents is not None:
            wins = f"wins below {money(one.ask_below_cents, outcome.currency)} per node and month"
        yield Passage(f"{quote} ({served}): {wins}", hang="    ")
    if len(outcome.unpriced) > _ASKED:
        more = plural(len(outcome.unpriced) - _ASKED, "further card")
        yield Passage(f"{more}: `unpriced` in --format json")
    yield BLANK


def edits(relaxations: Sequence[Relaxation], currency: str) -> Iterator[Block]:
    """Changes of the problem file with what the answer then costs."""
    yield Passage(_edits_head(relaxations))
    rows = [row for relaxation in relaxations for row in _edits(relaxation, currency)]
    yield Rows(tuple(rows), "<<>")
    for path, after, cents in dict.fromkeys(one for relaxation in relaxations for one in relaxation.left_out):
        why = f"Left out, as nobody could mean it: {path} at {_value(path, after, currency)} would do from"
        yield Passage(f"{why} {money(cents, currency)}/mo.")
    yield BLANK


def _edits_head(relaxations: Sequence[Relaxation]) -> str:
    joint = any(relaxation.also for relaxation in relaxations)
    if len(relaxations) == 1:
        what = "These changes of the problem file together are enough; they were" if joint else (
            "This change of the problem file is enough by itself; it was"
        )  # fmt: skip
        return f"{what} solved again:"
    how = ", with the lines marked 'and'" if joint else " by itself"
    return f"Each of these changes of the problem file is enough{how}; each was solved again:"


def _edits(relaxation: Relaxation, currency: str) -> Iterator[tuple[str, str, str]]:
    """The edit, its price, and the edits that must go with it."""
    price_then = f"then from {money(relaxation.monthly_cents, currency)}/mo"
    first = (relaxation.change, relaxation.before, relaxation.after)
    yield (relaxation.change, arrow(*first, currency), price_then)
    for path, before, after in relaxation.also:
        yield (f"  and {path}", arrow(path, before, after, currency), "")


def arrow(path: str, before: object, after: object, currency: str) -> str:
    """Both values as the file states them, with their unit where it is a number with one."""
    return f"{yaml_scalar(before)} -> {_value(path, after, currency)}"


def _value(path: str, value: object, currency: str) -> str:
    """A value as the file states it, with its unit where it is a number with one."""
    unit = currency if place_of(path).section == "budget" else unit_of(path)
    return counted(yaml_scalar(value), unit) if unit and value is not None else yaml_scalar(value)


def targets(outcome: Outcome) -> Iterator[Block]:
    """Prices to negotiate for."""
    if not outcome.targets:
        return
    yield Line("Prices to ask for", Style.HEADING)
    for target in outcome.targets:
        amount = price(target.wins_below_per_gpu_hour, outcome.currency)
        yield Line(f"  {target.provider} {gpu_name(target.gpu)} wins below {amount} per GPU-hour")
    yield BLANK
