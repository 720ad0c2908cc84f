"""What was understood of a problem, in a few lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.demand import Lengths, Load, Promise, SessionMeans
from optimizer.problem.load import lengths_of, load_of, sessions_of, slo_of
from optimizer.problem.schema import Exclude, Hardware, Problem, ProviderFilter, Workload
from optimizer.problem.session_words import people_words, session_words


def summary_of(problem: Problem) -> Iterator[tuple[str, str]]:
    """Label and text of the lines of ``optimize check``: workloads with load and promises, hardware, engine, payment,
    aim, warnings."""
    for workload in problem.workloads:
        yield from _workload(workload, problem)
    yield "hardware", _hardware(problem.hardware)
    yield "engine", _engine(problem)
    yield "payment", _payment(problem)
    yield "aim", _aim(problem)
    for warning in problem.warnings:
        yield "warning", warning


def _workload(workload: Workload, problem: Problem) -> Iterator[tuple[str, str]]:
    lengths = lengths_of(workload)
    tokens = _tokens(lengths)
    if lengths.classes:
        tokens = "; ".join(f"{one.name} ({one.share:.4g}) {_tokens(one.lengths)}" for one in lengths.classes)
    means = sessions_of(workload)
    if means is not None:
        tokens = f"sessions, at most {lengths.context_max:,} tokens at a time"
    yield "workload", f"{workload.name}: {workload.model}, {tokens}"
    if means is not None:
        yield "sessions", session_words(means)
    yield "load", _load(load_of(workload, problem), lengths.output_mean, means)
    if workload.traffic.profile is not None:
        parts = [f"{p.name} {p.hours_per_month:g} h x {p.factor:g}" for p in workload.traffic.profile]
        yield "profile", ", ".join(parts)
    promises = [
        f"{_of_class(promise)}{promise.metric.value.upper()} p{promise.percentile:g} <= {_seconds(promise.limit_s)}"
        for promise in slo_of(workload).promises
    ]
    promises.append(f"quality >= {workload.quality.min_recovery:g} of native precision")
    yield "promises", ", ".join(promises)


def _tokens(lengths: Lengths) -> str:
    if lengths.histogram is not None:
        return (
            f"{_length(round(lengths.input_mean, 1), lengths.input_p95)} in,"
            f" {_length(round(lengths.output_mean, 1), lengths.output_p95)} out as counted"
            f" ({len(lengths.histogram.share):,} rows), at most {lengths.context_max:,} tokens together"
        )
    return (
        f"{_length(lengths.input_mean, lengths.input_p95)} in, {_length(lengths.output_mean, lengths.output_p95)} out, "
        f"at most {lengths.context_max:,} tokens together"
    )


def _of_class(promise: Promise) -> str:
    return f"{promise.length_class} " if promise.length_class else ""


def _length(mean: float, p95: float | None) -> str:
    return f"{mean:,g}" if p95 is None else f"{mean:,g} (p95 {p95:,g})"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.4g} ms" if seconds < 10 else f"{seconds:,.4g} s"


def _load(load: Load, output_mean: float, means: SessionMeans | None) -> str:
    parts: list[str] = []
    if load.requests_per_second:
        tokens = load.requests_per_second * output_mean
        parts.append(f"{load.requests_per_second:,.4g} requests/s = {tokens:,.6g} output tokens/s")
    if load.inflight:
        parts.append(f"{load.inflight:,.4g} in flight")
    if load.users:
        parts.append(people_words(load.users, load.think_s, means))
    if load.hours_per_month is not None:
        parts.append(f"{load.hours_per_month:,.4g} hours a month")
    return f"{', '.join(parts)} (set by {load.decided_by})"


def _hardware(hardware: Hardware) -> str:
    parts = [_filter(hardware.gpus, "any GPU"), f"NVLink {hardware.nvlink}"]
    if hardware.only_owned:
        parts.append("owned only")
    else:
        parts.append(_providers(hardware))
    if hardware.regions is not None:
        parts.append(f"regions {', '.join(hardware.regions)}")
    if hardware.market is not None:
        parts.append(f"market {hardware.market}")
    required = hardware.require.model_dump(mode="json")
    parts += [f"{key} required: {', '.join(words)}" for key, words in required.items() if words]
    parts += [f"owned: {owned.nodes} x {owned.gpus_per_node} {owned.gpu}" for owned in hardware.owned]
    parts += [f"{quota.provider} {quota.gpu or 'in all'} <= {quota.max_gpus} GPUs" for quota in hardware.quota]
    limits = hardware.limits.model_dump(exclude_none=True)
    parts += [f"{key} {value:g}" for key, value in limits.items()]
    if not hardware.datacenter_licensed_only:
        parts.append("GeForce cards too")
    return "; ".join(parts)


def _filter(stated: tuple[str, ...] | Exclude | None, anything: str) -> str:
    if stated is None:
        return anything
    return f"all but {', '.join(stated.exclude)}" if isinstance(stated, Exclude) else ", ".join(stated)


def _providers(hardware: Hardware) -> str:
    stated = hardware.providers
    if stated is None:
        return "all providers but marketplaces"
    if isinstance(stated, ProviderFilter):
        tail = f" but {', '.join(stated.exclude)}" if stated.exclude else ""
        return f"providers: {', '.join(stated.classes)}{tail}"
    return f"providers: {', '.join(stated)}"


def _expert_shapes(problem: Problem) -> str:
    """What is stated about attention ranks, dealt experts, pools, drafts and host memory."""
    engine = problem.engine
    ranks = "" if engine.attention_dp is None else f"; attention ranks {', '.join(map(str, engine.attention_dp))}"
    experts = "" if engine.expert_parallel == "any" else f"; expert parallel {engine.expert_parallel}"
    pools = "" if engine.disaggregation == "off" else f"; prefill and decode pools {engine.disaggregation}"
    drafts = "" if engine.speculative == "off" else f"; speculative decoding {engine.speculative}"
    tiers = "" if engine.kv_tiers == "none" else f"; KV cache in host memory: {engine.kv_tiers}"
    return ranks + experts + pools + drafts + tiers


def _engine(problem: Problem) -> str:
    engine = problem.engine
    quants = ", ".join(engine.weight_quant) if engine.weight_quant else "whatever card, engine and quality allow"
    sizes = [", ".join(str(size) for size in sizes) for sizes in (engine.tensor_parallel, engine.pipeline_parallel)]
    version = f" {engine.version}" if engine.version else ""
    return (
        f"{engine.name}{version}; weights: {quants}; KV cache: {', '.join(engine.kv_cache)};"
        f" tensor parallel {sizes[0]}; pipeline parallel {sizes[1]}{_expert_shapes(problem)}"
    )


def _payment(problem: Problem) -> str:
    payment = problem.payment
    parts = [", ".join(payment.tiers), f"{payment.hours_per_month:g} hours a month", f"in {payment.currency}"]
    if payment.tax_percent:
        parts.append(f"tax {payment.tax_percent:g} %")
    if problem.offers:
        parts.append(f"{len(problem.offers)} quotes of your own")
    if problem.budget.monthly is not None:
        parts.append(f"budget {problem.budget.monthly:,.2f} a month")
    return "; ".join(parts)


def _aim(problem: Problem) -> str:
    margins, ranking = problem.margins, problem.ranking
    parts = [f"{problem.objective}, confidence {margins.confidence:g}"]
    if margins.load_headroom:
        parts.append(f"headroom {margins.load_headroom:.0%}")
    if margins.spare_nodes:
        parts.append("1 spare node" if margins.spare_nodes == 1 else f"{margins.spare_nodes} spare nodes")
    if margins.survive != "none":
        parts.append(f"survives the loss of any one {margins.survive}")
    parts.append(f"top {ranking.top} distinct by {', '.join(ranking.distinct_by)}")
    if ranking.min_grade is not None:
        parts.append(f"grade {ranking.min_grade} at least")
    return "; ".join(parts)
