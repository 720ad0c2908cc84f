"""One prediction per workload, or length class served apart, where several configurations share it.

A mean is the mean over requests: the shares weigh it. A percentile is that of the slowest configuration: at least so
many requests of every configuration are as fast, hence of all together, so no percentile of the whole is larger. What
the workload carries is what keeps every configuration inside its promises at its fixed share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optimizer.decide.predict import Expectation
from optimizer.plan.types import Binding, Capacity, KeptPromise, LatencyMs, Prediction


def joint(expectations: Sequence[Expectation]) -> list[Expectation]:
    """One expectation per workload, in the order of their first configurations."""
    names = dict.fromkeys(expectation.prediction.workload for expectation in expectations)
    return [_joined([one for one in expectations if one.prediction.workload == name]) for name in names]


def _joined(parts: Sequence[Expectation]) -> Expectation:
    if len(parts) == 1:
        return parts[0]
    shares, predictions = [part.share for part in parts], [part.prediction for part in parts]

    def mean(read: Callable[[Prediction], float]) -> float:
        return sum(share * read(one) for share, one in zip(shares, predictions, strict=True))

    prediction = Prediction(
        workload=predictions[0].workload,
        ttft_ms=_latency([one.ttft_ms for one in predictions], shares),
        tpot_ms=_latency([one.tpot_ms for one in predictions], shares),
        e2e_s=_latency([one.e2e_s for one in predictions], shares),
        concurrency=sum(one.concurrency for one in predictions),
        output_tokens_per_second=sum(one.output_tokens_per_second for one in predictions),
        requests_per_second=sum(one.requests_per_second for one in predictions),
        capacity=_capacity([one.capacity for one in predictions], shares),
        ttft_interval_ms=(mean(lambda one: one.ttft_interval_ms[0]), mean(lambda one: one.ttft_interval_ms[1])),
        tpot_interval_ms=(mean(lambda one: one.tpot_interval_ms[0]), mean(lambda one: one.tpot_interval_ms[1])),
        grade=max(one.grade for one in predictions),
        upper_bound=any(one.upper_bound for one in predictions),
        grade_reasons=tuple(dict.fromkeys(reason for one in predictions for reason in one.grade_reasons)),
        promises=tuple(_slowest([one.promises[i] for one in predictions]) for i in range(len(predictions[0].promises))),
        length_class=predictions[0].length_class,
    )
    bindings = [_tightest([part.bindings[i] for part in parts]) for i in range(len(parts[0].bindings))]
    return Expectation(prediction, tuple(bindings))


def _latency(parts: Sequence[LatencyMs], shares: Sequence[float]) -> LatencyMs:
    return LatencyMs(
        mean=sum(share * part.mean for share, part in zip(shares, parts, strict=True)),
        p50=max(part.p50 for part in parts),
        p90=max(part.p90 for part in parts),
        p95=max(part.p95 for part in parts),
        p99=max(part.p99 for part in parts),
    )


def _capacity(parts: Sequence[Capacity], shares: Sequence[float]) -> Capacity:
    return Capacity(
        concurrency=min(part.concurrency / share for share, part in zip(shares, parts, strict=True)),
        output_tokens_per_second=min(
            part.output_tokens_per_second / share for share, part in zip(shares, parts, strict=True)
        ),
        requests_per_second=min(part.requests_per_second / share for share, part in zip(shares, parts, strict=True)),
        users=min(
            (part.users / share for share, part in zip(shares, parts, strict=True) if part.users is not None),
            default=None,
        ),
    )


def _slowest(parts: Sequence[KeptPromise]) -> KeptPromise:
    return max(parts, key=lambda part: (part.estimate_s, part.high_s))


def _tightest(parts: Sequence[Binding]) -> Binding:
    return max(parts, key=lambda part: part.value)
