"""Checks of the ids that a problem names against those the catalogs know."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from optimizer.documents.paths import beside, is_file, is_folder
from optimizer.documents.suggest import did_you_mean
from optimizer.errors import InputError
from optimizer.problem.issues import Issue, KeyPath
from optimizer.problem.known import KnownIds
from optimizer.problem.schema import Exclude, ProblemFile, ProviderFilter, Workload

_FILE_FINDINGS = 20
"""Defects of one trace or calibration that are listed."""

_Named = Iterator[tuple[KeyPath, str]]


def check_references(problem: ProblemFile, known: KnownIds, folder: Path) -> Iterator[Issue]:
    """Every id that no catalog has, with the nearest that one has."""
    providers = known.providers | {quote.provider for quote in problem.offers} if known.providers else frozenset()
    currencies = known.currencies | set(problem.payment.fx.rates if problem.payment.fx else ())
    for what, names, ids in (
        ("GPU", _gpus(problem), known.gpus),
        ("provider", _providers(problem), providers),
        ("region", _regions(problem), known.regions),
        ("engine", iter([(("engine", "name"), problem.engine.name)]), known.engines),
    ):
        yield from _unknown(what, names, ids)
    if known.currencies:
        yield from _currencies(problem, currencies)
    for index, workload in enumerate(problem.workloads):
        yield from _model(workload, ("workloads", index), known, folder)
        yield from _trace(workload, ("workloads", index), folder)
    yield from _calibration(problem.engine.calibration, known, folder)


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


def _regions(problem: ProblemFile) -> _Named:
    yield from _listed(("hardware", "regions"), problem.hardware.regions or ())


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
