"""The certificates of every plan that the shipped problems list: at the next smaller number of replicas (or of workers
of a pool) that costs less, a promise breaks in the replay, or there is no such number.

Counted are the groups of all listed plans by what their certificate says. A plan fails where fewer replicas that cost
less keep every promise too. No certificate is given where the closed form decides the number and a replay can only
refuse it: mixes, day profiles, and objectives other than cost and number of GPUs.

    python -m benchmarks.certificates [FILE...]
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from optimizer.decide import decide
from optimizer.plan.replayed import KEEPS_TOO, Minimality
from optimizer.plan.types import Plan
from optimizer.planning.inputs import read_inputs

PROBLEMS = Path(__file__).parents[1] / "problems"

BREAKS = "a promise breaks with fewer"


def says(one: Minimality) -> str:
    """What the certificate of a group comes to."""
    return BREAKS if one.fewer is not None else one.reason


def unproven(plan: Plan) -> Iterator[Minimality]:
    """Groups of a plan of which fewer replicas cost less and keep every promise, or whose certificate breaks none."""
    for one in plan.minimality:
        fewer = one.fewer
        if fewer is None:
            if one.reason == KEEPS_TOO:
                yield one
        elif fewer.monthly_cents >= plan.monthly_cents or fewer.replayed * fewer.margin <= fewer.limit:
            yield one


def told(plan: Plan, one: Minimality) -> str:
    """A group and its certificate on one line."""
    if one.fewer is None:
        return f"#{plan.rank} {one.workload} {one.role} x {one.replicas}: {one.reason}"
    fewer = one.fewer
    breaks = f"{fewer.promise} {fewer.replayed * fewer.margin:.4g} of {fewer.limit:.4g}"
    return f"#{plan.rank} {one.workload} {one.role} x {one.replicas}: with {fewer.replicas} {breaks}"


def main(files: Sequence[str]) -> None:
    """Print what the certificates say, file by file; exit 1 where a plan fails."""
    total, failed = Counter[str](), 0
    for path in [Path(name) for name in files] or sorted(PROBLEMS.glob("*.yaml")):
        plans = decide(read_inputs(path), tested=False).plans
        found = Counter(says(one) for plan in plans for one in plan.minimality)
        bad = [told(plan, one) for plan in plans for one in unproven(plan)]
        total, failed = total + found, failed + len(bad)
        print(f"{path.name}: {len(plans)} plans; {', '.join(f'{n} x {what}' for what, n in sorted(found.items()))}")
        print("".join(f"  {line}\n" for line in bad), end="", flush=True)
    print(f"all: {', '.join(f'{n} x {what}' for what, n in sorted(total.items()))}; {failed} fail")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
