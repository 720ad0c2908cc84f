"""Promises that nothing can keep: below what a lone request takes on the fastest replica there is for them.

Every card that the catalogs price, in every format and size that the file allows, with no load and no margin: what is
asked for below that is most often a unit mistaken (2 for two seconds, where the key is in milliseconds).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.units import significant

if TYPE_CHECKING:
    from optimizer.planning.inputs import Inputs
    from optimizer.problem import Problem


FIRST_TOKEN_S, PER_INPUT_TOKEN_S, PER_OUTPUT_TOKEN_S = 0.1, 1e-5, 0.01
"""Looser than what a lone request needs on the fastest cards: promises above these are not looked at, so that a file
whose units are right is checked at once."""


def suspicious(problem: Problem) -> bool:
    """Whether a latency promise is tight enough to be worth comparing with what a lone request takes."""
    from optimizer.problem import parts_of

    for part in parts_of(problem):
        first = FIRST_TOKEN_S + PER_INPUT_TOKEN_S * part.lengths.input_mean
        least = {
            Metric.TTFT: first,
            Metric.TPOT: PER_OUTPUT_TOKEN_S,
            Metric.E2E: first + PER_OUTPUT_TOKEN_S * part.lengths.output_mean,
        }
        if any(promise.limit_s < least[promise.metric] for promise in part.slo.promises):
            return True
    return False


def impossible_promises(inputs: Inputs) -> Iterator[str]:
    """A sentence for each latency promise that not even a lone request would see kept, on any replica."""
    from optimizer.candidates.enumerate import CandidateBuilder
    from optimizer.performance.fluid import least_seconds
    from optimizer.pricing import node_options

    types = {option.node_type.key: option.node_type for option in node_options(inputs.problem, inputs.catalog)}
    builder = CandidateBuilder(inputs.problem, inputs.catalog, inputs.params, ladder=False)
    for index, part in enumerate(inputs.parts):
        promises = part.slo.promises
        if part.load.is_batch or part.length_class or not promises:
            continue
        specs = builder.replicas(index, [types[key] for key in sorted(types)])
        for promise, least in zip(promises, least_seconds(specs, part.lengths, promises, inputs.params), strict=True):
            if specs and promise.limit_s < least:
                scale, unit = (1.0, "s") if promise.metric is Metric.E2E else (1e3, "ms")
                asked, floor = promise.limit_s * scale, significant(least * scale, 2)
                yield (
                    f"{promise.path}: nothing can keep {asked:g} {unit}: a lone request takes {floor:g} {unit} on the "
                    f"fastest replica there is for it; is the unit right ({unit})?"
                )
