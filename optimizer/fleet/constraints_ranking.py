"""Rules about ranks: what makes two plans the same, and what may not come first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from optimizer.fleet.instance import ACTIVITY_LIMIT, Fact, option_facts
from optimizer.fleet.variables import Variables


def facts(v: Variables) -> None:
    """``fact[a] = 1`` exactly if the plan has it: ``sum over w's slots of at <= fact[a] <= sum over all of at``.

    In a mix ``max_configurations_per_workload fact[a]`` takes the place of the first ``fact[a]``.

    For facts of offers: ``sum over options of nodes[o] <= M fact[a]`` and ``fact[a] <=`` that sum.
    """
    of_slots: dict[Fact, list[int]] = defaultdict(list)
    for index, slot in v.slots():
        for fact in v.facts_of(slot):
            of_slots[fact].append(index)
    for fact, slots in sorted(of_slots.items()):
        literal = v.fact(fact)
        for workload in sorted({v.instance.slots[index].workload for index in slots}):
            mine = v.chosen(index for index in slots if v.instance.slots[index].workload == workload)
            v.cp.add(v.most(literal) >= mine).with_name(f"fact.of[{workload},{fact}]")
        v.cp.add(literal <= v.chosen(slots)).with_name(f"fact[{fact}]")
    of_options: dict[Fact, list[int]] = defaultdict(list)
    for index, option in enumerate(v.instance.options):
        for fact in option_facts(option, v.instance.rules):
            of_options[fact].append(index)
    for fact, options in sorted(of_options.items()):
        literal = v.fact(fact)
        counts = [(index, count) for index in options for count in v.node_counts(index)]
        total = sum(count for _, count in counts)
        most = sum(v.instance.max_nodes(v.instance.options[index].node_type) for index, _ in counts)
        v.cp.add(total <= min(most, ACTIVITY_LIMIT) * literal).with_name(f"fact.some[{fact}]")
        v.cp.add(literal <= total).with_name(f"fact.none[{fact}]")


def differs_from(v: Variables, key: Collection[Fact]) -> None:
    """``sum over a in key of (1 - fact[a]) + sum over other a of fact[a] >= 1``: the plan key is a new one.

    In a mix ``sum over a in key of (1 - fact[a]) >= 1``: a plan lacks something of every earlier one. Otherwise the
    next rank would be the one before with a token of something else. Where nothing in the model has a fact of the key,
    every plan lacks it.
    """
    known = v.facts()
    if any(fact not in known for fact in key):
        return
    if v.instance.rules.mixed:
        v.cp.add_bool_or([~known[fact] for fact in sorted(known) if fact in key]).with_name("differs_from")
        return
    v.cp.add_bool_or([~known[fact] if fact in key else known[fact] for fact in sorted(known)]).with_name("differs_from")


def flagged_never_first(v: Variables) -> None:
    """``at[c,k] <= 0`` over flagged candidates: TP >= 4 over PCIe on a card the user did not name is never rank 1."""
    rules = v.instance.rules
    flagged = [index for index, slot in v.slots() if rules.is_flagged(slot.candidate)]
    if flagged:
        v.cp.add(v.chosen(flagged) <= v.relaxed("flagged")).with_name("rule:flagged_never_first")


def flagged_never_cheaper(v: Variables, cheaper: Collection[int]) -> None:
    """``at[c,k] <= 0`` for flagged candidates whose cheapest nodes alone cost less than rank 1."""
    if cheaper:
        v.cp.add(v.chosen(sorted(cheaper)) <= 0).with_name("rule:flagged_never_cheaper")


def uses(v: Variables, offer_id: str) -> None:
    """``sum over the offer's options, and periods, of nodes[o] >= 1``: the question is about plans with such a node.

    Screens and dominance look at all plans: what they leave out is part of no plan that is as good as one without it.
    """
    mine = [index for index, option in enumerate(v.instance.options) if option.offer.id == offer_id]
    counts = [count for index in mine for count in v.node_counts(index)]
    v.cp.add(sum(counts) >= 1).with_name("uses")
