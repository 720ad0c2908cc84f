"""What replicas may serve: a workload whole or, where it states length classes, one class of it.

A class served apart is a part of its own, with its own lengths, load and promises. Its share of the arrivals is its
``share``; of the requests in flight it has more the longer its answers are, as a request stays about as long as it is
being written (Little's law at one TPOT for all classes), so they are divided by share x mean output. Of a closed
population a class is served for the larger of the two shares: people ask for it as often as the one says and, where
hardly anybody thinks, wait for it as long as the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from optimizer.problem.load import class_slo_of, lengths_of, load_of, slo_of
from optimizer.problem.schema import Problem, Workload
from optimizer.workload import Lengths, Load, Slo, part_name


@dataclass(frozen=True, slots=True)
class Part:
    """A whole workload, or one of its length classes."""

    name: str  # of the workload; of a class ``workload/class``
    workload: Workload
    length_class: str  # empty: the whole workload
    share: float  # of the workload's requests
    lengths: Lengths
    slo: Slo
    load: Load
    whole: int | None  # of a class: index of the part that is its whole workload

    @property
    def can_be_split(self) -> bool:
        """Whether its classes may be served apart instead."""
        return self.whole is None and is_split(self.workload)


def is_split(workload: Workload) -> bool:
    """Whether the classes of a workload may be served apart."""
    return workload.tokens.split_classes and len(workload.tokens.classes) > 1


def parts_of(problem: Problem) -> tuple[Part, ...]:
    """Every part that replicas may serve: each workload whole, followed by its classes where it may be split."""
    parts: list[Part] = []
    for workload in problem.workloads:
        whole = Part(
            name=workload.name,
            workload=workload,
            length_class="",
            share=1.0,
            lengths=lengths_of(workload),
            slo=slo_of(workload),
            load=load_of(workload, problem),
            whole=None,
        )
        index = len(parts)
        parts.append(whole)
        if whole.can_be_split:
            parts += [_class_part(whole, index, number) for number in range(len(whole.lengths.classes))]
    return tuple(parts)


def _class_part(whole: Part, index: int, number: int) -> Part:
    of_class = whole.lengths.classes[number]
    written = sum(one.share * one.lengths.output_mean for one in whole.lengths.classes)
    resident = of_class.share * of_class.lengths.output_mean / written
    return Part(
        name=part_name(whole.name, of_class.name),
        workload=whole.workload,
        length_class=of_class.name,
        share=of_class.share,
        lengths=of_class.lengths,
        slo=class_slo_of(whole.workload, whole.workload.tokens.classes[number]),
        load=replace(
            whole.load,
            requests_per_second=whole.load.requests_per_second * of_class.share,
            inflight=whole.load.inflight * resident,
            users=whole.load.users * max(of_class.share, resident),
        ),
        whole=index,
    )
