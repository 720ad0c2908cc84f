"""Checks of the ids that a problem names against those the catalogs know.

The ids a problem file may name, as the catalogs know them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optimizer.certificates import KNOWN_CERTIFICATES, certificate_of, certified
from optimizer.errors import InputError
from optimizer.files.carried import is_closed, refusal
from optimizer.files.text_file import beside, did_you_mean, is_file, is_folder, suggest, whole_id
from optimizer.problem.findings import Issue, KeyPath
from optimizer.problem.schema import Exclude, ProblemFile, ProviderFilter, Workload

_SLIPS = 2
"""Letters by which a misspelt region may differ from the one that is meant."""

_FILE_FINDINGS = 20
"""Defects of one trace or calibration that are listed."""

_Named = Iterator[tuple[KeyPath, str]]


def check_references(problem: ProblemFile, known: KnownIds, folder: Path) -> Iterator[Issue]:
    """Every id that no catalog has, with the nearest that one has."""
    providers = known.providers | {quote.provider for quote in problem.offers} if known.providers else frozenset()
    currencies = known.currencies | set(problem.payment.fx.rates if problem.payment.fx else ())
    for what, names, ids in (
        ("GPU", _gpus(problem), known.gpus | {card.id for card in problem.hardware.custom} if known.gpus else ()),
        ("GPU", _siblings(problem), known.gpus),
        ("provider", _providers(problem), providers),
        ("region", _misspelt_regions(problem, known.regions), known.regions),
        ("engine", iter([(("engine", "name"), problem.engine.name)]), known.engines),
    ):
        yield from _unknown(what, names, ids)
    yield from _own_cards(problem, known)
    yield from _certificates(problem, known)
    yield from _formats(problem, known)
    yield from _expert_shapes(problem, known, folder)
    if known.currencies:
        yield from _currencies(problem, currencies)
    for index, workload in enumerate(problem.workloads):
        yield from _model(workload, ("workloads", index), known, folder)
        yield from _trace(workload, ("workloads", index), folder)
    yield from _calibration(problem.engine.calibration, known, folder)


def _certificates(problem: ProblemFile, known: KnownIds) -> Iterator[Issue]:
    """Certificates asked for are known by name, or stated by a provider of the catalog or a quote of the file."""
    stated = {*known.certificates, *(name for quote in problem.offers for name in quote.certificates or ())}
    for path, name in _listed(("hardware", "require", "certificates"), problem.hardware.require.certificates):
        if certificate_of(name) is None and not certified((name,), stated):
            names = (*KNOWN_CERTIFICATES, *sorted(one for one in stated if certificate_of(one) is None))
            hint = did_you_mean(name, names) or "nobody states it"
            yield Issue(path, f"unknown certificate {name!r}", f"{hint}; known: {', '.join(names)}")


def _formats(problem: ProblemFile, known: KnownIds) -> Iterator[Issue]:
    """The engine runs at least one of the formats that the file states; ``native`` is whatever the model comes in."""
    engine = problem.engine
    for key, what in (("weight_quant", "weights"), ("kv_cache", "KV cache")):
        stated, possible = getattr(engine, key), known.formats.get((engine.name, key))
        if key in engine.model_fields_set and stated and possible and not {*possible, "native"} & set(stated):
            message = f"{engine.name} runs no {what} in {' or '.join(stated)}, so nothing could be chosen"
            yield Issue(("engine", key), message, f"possible: {', '.join(possible)}", (("engine", "name"),))


def _expert_shapes(problem: ProblemFile, known: KnownIds, folder: Path) -> Iterator[Issue]:
    """Attention ranks and dealt experts are asked of a mixture of experts that an engine serves so, evenly."""
    engine = problem.engine
    ranks, mode = engine.attention_dp or (), engine.expert_parallel
    experts = {w.model: _experts_of(w.model, known, folder) for w in problem.workloads}
    if not known.models or None in experts.values():
        return
    stated: list[tuple[KeyPath, str]] = []
    if ranks and min(ranks) > 1:
        stated.append((("engine", "attention_dp"), f"attention_dp {', '.join(map(str, ranks))}"))
    if mode == "required":
        stated.append((("engine", "expert_parallel"), "expert_parallel required"))
    about: tuple[KeyPath, ...] = (("engine", "name"), *(("workloads", i, "model") for i in range(len(experts))))
    for path, what in stated:
        if not any(experts.values()):
            message = f"{what}: {' and '.join(experts)} {'have' if len(experts) > 1 else 'has'} no routed experts"
            yield Issue(path, message, "leave it out: copies of a dense model are replicas, which are found", about)
        elif known.deals_experts and engine.name not in known.deals_experts:
            message = f"{what}: {engine.name} has no such option that is known here"
            yield Issue(path, message, f"possible with: {', '.join(sorted(known.deals_experts))}", about)
        elif mode == "off" and path[1] == "attention_dp":
            message = f"{what} with expert_parallel off: behind attention ranks the experts are always dealt"
            yield Issue(path, message, "add 1 to attention_dp, or leave expert_parallel at any", about)
    for index, rank in enumerate(ranks):
        if any(experts.values()) and all(count and count % rank for count in experts.values()):
            shown = ", ".join(f"the {count} experts of {model}" for model, count in experts.items())
            hint = "state ranks that divide the experts: 1, 2, 4, 8, ..."
            yield Issue(("engine", "attention_dp", index), f"{rank} ranks do not divide {shown}", hint, about)


def _experts_of(model: str, known: KnownIds, folder: Path) -> int | None:
    """Routed experts of a model, 0 for a dense one; None where it is not known."""
    if model in known.models:
        return known.experts.get(model, 0)
    config = config_path(model, folder)
    if config is None or known.experts_of_config is None or is_closed(config) or not is_file(config):
        return None
    try:
        return known.experts_of_config(config)
    except InputError:
        return None


def config_path(model: str, folder: Path) -> Path | None:
    """The config.json that a ``model`` names relative to the problem file's folder; None where it is a catalog id."""
    path = beside(folder, model)
    if not (model.endswith(".json") or model.startswith(("./", "../", "/", "~"))):
        return path / "config.json" if is_file(path / "config.json") else None  # a folder under its bare name
    return path / "config.json" if is_folder(path) else path


def _unknown(what: str, names: _Named, ids: Collection[str]) -> Iterator[Issue]:
    if not ids:
        return
    for path, name in names:
        if name not in ids:
            command = "`optimize catalog gpus` lists them" if what == "GPU" else f"known: {_some(ids)}"
            yield Issue(path, f"unknown {what} {name!r}", did_you_mean(name, ids) or command)


def _gpus(problem: ProblemFile) -> _Named:
    hardware = problem.hardware
    if isinstance(hardware.gpus, Exclude):
        yield from _listed(("hardware", "gpus", "exclude"), hardware.gpus.exclude)
    else:
        yield from _listed(("hardware", "gpus"), hardware.gpus or ())
    for index, owned in enumerate(hardware.owned):
        yield ("hardware", "owned", index, "gpu"), owned.gpu
    for index, quota in enumerate(hardware.quota):
        if quota.gpu is not None:
            yield ("hardware", "quota", index, "gpu"), quota.gpu
    for index, quote in enumerate(problem.offers):
        yield ("offers", index, "gpu"), quote.gpu
    for index, discount in enumerate(problem.payment.discounts):
        if discount.gpu is not None:
            yield ("payment", "discounts", index, "gpu"), discount.gpu


def _siblings(problem: ProblemFile) -> _Named:
    for index, card in enumerate(problem.hardware.custom):
        yield ("hardware", "custom", index, "sibling"), card.sibling


def _own_cards(problem: ProblemFile, known: KnownIds) -> Iterator[Issue]:
    """The user's own cards have names of their own."""
    seen = set(known.gpus)
    for index, card in enumerate(problem.hardware.custom):
        if card.id in seen:
            message = f"there is a card {card.id!r} already"
            yield Issue(("hardware", "custom", index, "id"), message, "give it a name of its own")
        seen.add(card.id)


def _providers(problem: ProblemFile) -> _Named:
    hardware = problem.hardware
    if isinstance(hardware.providers, ProviderFilter):
        yield from _listed(("hardware", "providers", "exclude"), hardware.providers.exclude)
    else:
        yield from _listed(("hardware", "providers"), hardware.providers or ())
    for index, quota in enumerate(hardware.quota):
        yield ("hardware", "quota", index, "provider"), quota.provider
    for index, discount in enumerate(problem.payment.discounts):
        if discount.provider is not None:
            yield ("payment", "discounts", index, "provider"), discount.provider


def _misspelt_regions(problem: ProblemFile, known: Collection[str]) -> _Named:
    """Regions that look like a slip of the pen: nearly the letters of a known one, and all of its digits.

    Any other unknown one may well exist: nothing is priced there, and a quote can be.
    """
    quoted = {quote.region for quote in problem.offers if quote.region}
    for path, name in _listed(("hardware", "regions"), problem.hardware.regions or ()):
        near = suggest(name, known, 1)
        if name not in quoted and near and _digits(near[0]) == _digits(name) and _alike(name, near[0]):
            yield path, name


def _digits(name: str) -> str:
    return "".join(char for char in name if char.isdigit())


def _alike(name: str, known: str) -> bool:
    """Whether one or two letters tell them apart."""
    from difflib import SequenceMatcher

    same = sum(block.size for block in SequenceMatcher(None, name.lower(), known.lower()).get_matching_blocks())
    return max(len(name), len(known)) - same <= _SLIPS


def _listed(path: KeyPath, names: Collection[str]) -> _Named:
    for index, name in enumerate(names):
        yield (*path, index), name


def _currencies(problem: ProblemFile, rated: Collection[str]) -> Iterator[Issue]:
    """Every currency in use has an exchange rate."""
    stated: list[tuple[KeyPath, str]] = [(("payment", "currency"), problem.payment.currency)]
    for index, quote in enumerate(problem.offers):
        if quote.currency != problem.payment.currency:
            stated.append((("offers", index, "currency"), quote.currency))
    for path, currency in stated:
        if currency not in rated:
            hint = f"known: {_some(rated)}; or state it: payment: {{fx: {{{currency}: <units per USD>, date: <day>}}}}"
            yield Issue(path, f"no exchange rate for {currency!r}", hint, (("payment", "fx"), ("payment", "currency")))


def trace_path(trace: str, folder: Path) -> Path:
    """The file that ``traffic.trace`` names, relative to the problem file's folder."""
    return beside(folder, trace)


def _trace(workload: Workload, base: KeyPath, folder: Path) -> Iterator[Issue]:
    """The trace can be read; each of its first defects with the line it is in."""
    from optimizer.problem.trace import read_trace

    if workload.traffic.trace is None:
        return
    try:
        read_trace(trace_path(workload.traffic.trace, folder))
    except InputError as error:
        for finding in error.findings[:_FILE_FINDINGS]:
            where = f"{workload.traffic.trace}:{finding.line}" if finding.line else workload.traffic.trace
            yield Issue((*base, "traffic", "trace"), f"{where}: {finding.message}", finding.hint)


def calibration_path(calibration: str, folder: Path) -> Path:
    """The file that ``engine.calibration`` names, relative to the problem file's folder."""
    return beside(folder, calibration)


def _calibration(stated: str | None, known: KnownIds, folder: Path) -> Iterator[Issue]:
    """The calibration can be read; each of its first defects with the line it is in."""
    if stated is None or known.read_calibration is None:
        return
    try:
        known.read_calibration(calibration_path(stated, folder))
    except InputError as error:
        for finding in error.findings[:_FILE_FINDINGS]:
            where = f"{stated}:{finding.line}" if finding.line else stated
            yield Issue(("engine", "calibration"), f"{where}: {finding.message}", finding.hint)


def with_whole_ids(problem: ProblemFile, known: KnownIds, folder: Path) -> ProblemFile:
    """The problem with models named without their publisher by their whole id, where only one model is meant."""
    workloads = tuple(_whole(workload, known, folder) for workload in problem.workloads)
    return problem if workloads == problem.workloads else problem.model_copy(update={"workloads": workloads})


def _whole(workload: Workload, known: KnownIds, folder: Path) -> Workload:
    if workload.model in known.models or config_path(workload.model, folder) is not None:
        return workload
    found = whole_id(workload.model, known.models)
    return workload if found is None else workload.model_copy(update={"model": found})


def _model(workload: Workload, base: KeyPath, known: KnownIds, folder: Path) -> Iterator[Issue]:
    """The model is known, and the context asked for is within its limit."""
    path = (*base, "model")
    limit = known.models.get(workload.model)
    config = config_path(workload.model, folder) if limit is None else None
    if config is None:
        if limit is None and known.models:
            hint = did_you_mean(workload.model, known.models) or "`optimize catalog models` lists them;"
            message = f"unknown model {workload.model!r}"
            yield Issue(path, message, f"{hint} any other model: the path of its Hugging Face config.json")
    elif is_closed(config):
        told = refusal(config)
        yield Issue(path, f"{workload.model} {told.message}", told.hint)
    elif not is_file(config):
        hint = "the path of a Hugging Face config.json is relative to the problem file"
        yield Issue(path, f"no such file: {workload.model!r}", hint)
    elif known.context_of_config is not None:
        try:
            limit = known.context_of_config(config)
        except InputError as error:
            yield Issue(path, f"{workload.model} cannot be used: {error}")
    if limit is not None and workload.tokens.context_max > limit:
        message = f"context_max is {workload.tokens.context_max:,} tokens; {workload.model} stops at {limit:,}"
        hint = f"lower it to {limit} at most, or take a model with a longer context"
        yield Issue((*base, "tokens", "context_max"), message, hint, (path, (*base, "tokens")))


def _some(ids: Collection[str], most: int = 12) -> str:
    names = sorted(ids)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@dataclass(frozen=True)
class KnownIds:
    """What the references of a problem file are checked against. An empty set of ids is not checked."""

    gpus: frozenset[str] = frozenset()
    models: Mapping[str, int] = field(default_factory=dict)
    """Longest context in tokens by model id."""
    experts: Mapping[str, int] = field(default_factory=dict)
    """Routed experts of each mixture by model id."""
    deals_experts: frozenset[str] = frozenset()
    """Engines that mixtures are planned with attention ranks and dealt experts on."""
    engines: frozenset[str] = frozenset()
    formats: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """What an engine runs, by its id and ``weight_quant`` or ``kv_cache``."""
    providers: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    """Currencies with an exchange rate, USD included."""
    regions: frozenset[str] = frozenset()
    certificates: frozenset[str] = frozenset()
    """That a provider of the catalog states."""
    newest_price_date: str | None = None
    """What ``payment.as_of`` means when left out."""
    context_of_config: Callable[[Path], int] | None = None
    """Longest context of a Hugging Face config.json; raises InputError for one that cannot be used."""
    experts_of_config: Callable[[Path], int] | None = None
    """Routed experts of a Hugging Face config.json, 0 of a dense model; raises InputError likewise."""
    read_calibration: Callable[[Path], None] | None = None
    """Raises InputError for a calibration file that cannot be used."""
