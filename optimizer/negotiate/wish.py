"""What somebody would rather have: words such as ``"a100_sxm_80 int4 tp2"``, and what they stand for."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.errors import Finding, UsageError

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.decide import Inputs
    from optimizer.pricing import NodeOption


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; what is left empty may be anything."""

    text: str
    gpus: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    quants: frozenset[str] = frozenset()
    kv_caches: frozenset[str] = frozenset()
    tensor_parallel: frozenset[int] = frozenset()
    pipeline_parallel: frozenset[int] = frozenset()
    tiers: frozenset[str] = frozenset()
    offers: frozenset[str] = frozenset()

    def candidate(self, one: Candidate) -> bool:
        """Whether a configuration is what was asked for."""
        spec = one.spec
        return (
            _is_in(spec.gpu.id, self.gpus)
            and _is_in(spec.weight_quant, self.quants)
            and _is_in(spec.kv_cache, self.kv_caches)
            and _is_in(spec.tensor_parallel, self.tensor_parallel)
            and _is_in(spec.pipeline_parallel, self.pipeline_parallel)
        )

    def option(self, one: NodeOption) -> bool:
        """Whether nodes are what was asked for."""
        return (
            _is_in(one.offer.provider, self.providers)
            and _is_in(str(one.tier), self.tiers)
            and _is_in(one.offer.id, self.offers)
        )


def parse(inputs: Inputs, text: str) -> Wish:
    """The wish that words mean. Raises ``UsageError`` with a suggestion for a word nobody knows."""
    from optimizer.problem import KV_CACHES, WEIGHT_QUANT_ALIASES, WEIGHT_QUANTS
    from optimizer.vocabulary import Tier

    if not text.strip():
        raise UsageError([Finding("nothing is asked for", hint='e.g. --why-not "a100_sxm_80 int4 tp2", or a provider')])
    catalog, problem = inputs.catalog, inputs.problem
    quants = {quant: quant for quant in WEIGHT_QUANTS if quant != "native"} | dict(WEIGHT_QUANT_ALIASES)
    caches = {f"kv-{cache}": cache for cache in KV_CACHES} | {f"kv_{cache}": cache for cache in KV_CACHES}
    providers = {offer.provider for offer in catalog.offers.values()} | {quote.provider for quote in problem.offers}
    known: dict[str, Collection[str]] = {
        "gpus": list(catalog.gpus),
        "providers": providers,
        "tiers": [str(tier) for tier in Tier],
        "offers": [*catalog.offers, *(quote.id for quote in problem.offers)],
    }
    found: dict[str, set[str]] = {key: set() for key in (*known, "quants", "kv_caches", "tp", "pp")}
    for word in re.split(r"[\s,;|]+", text.strip().lower()):
        size = re.fullmatch(r"(tp|pp)[=:]?(\d+)", word)
        kind = next((key for key, names in known.items() if word in {name.lower() for name in names}), None)
        if size:
            found[size[1]].add(size[2])
        elif kind:
            found[kind].add(next(name for name in known[kind] if name.lower() == word))
        elif word in quants:
            found["quants"].add(quants[word])
        elif word in caches:
            found["kv_caches"].add(caches[word])
        else:
            names = [*catalog.gpus, *sorted(providers), *quants, "tp2", "pp2", "kv-fp8"]
            found["gpus"] = _narrowed(found["gpus"], _guessed_gpus(word, catalog.gpus, names))
    return Wish(
        text=text.strip(),
        gpus=frozenset(found["gpus"]),
        providers=frozenset(found["providers"]),
        quants=frozenset(found["quants"]),
        kv_caches=frozenset(found["kv_caches"]),
        tensor_parallel=frozenset(int(size) for size in found["tp"]),
        pipeline_parallel=frozenset(int(size) for size in found["pp"]),
        tiers=frozenset(found["tiers"]),
        offers=frozenset(found["offers"]),
    )


def _guessed_gpus(word: str, gpus: Collection[str], known: Sequence[str]) -> set[str]:
    """``h100`` stands for every card whose id has that part, ``80gb`` for every card of that size."""
    part = re.sub(r"^(\d+)gb$", r"\1", word)
    matches = {gpu for gpu in gpus if part and (part in gpu.split("_") or gpu.startswith(f"{part}_"))}
    if matches:
        return matches
    from optimizer.documents.suggest import did_you_mean

    hint = did_you_mean(word, known) or 'e.g. --why-not "a100_sxm_80 int4 tp2", or a provider'
    if re.fullmatch(r"\d+x?", word):
        hint = "leave the number of GPUs out: it follows from the load (hardware.limits.max_gpus bounds it)"
    raise UsageError([Finding(f"{word!r} is no card, provider, format, size or way to pay", hint=hint)])


def _narrowed(cards: set[str], more: set[str]) -> set[str]:
    """``h100 sxm``: cards that both words stand for; ``h100 a100``: where no card is both, either."""
    return cards & more or cards | more


def _is_in(value: str | int, wanted: Collection[str] | Collection[int]) -> bool:
    return not wanted or value in wanted
