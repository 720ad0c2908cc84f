"""Nothing is shown that the solver-free check does not confirm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.errors import VerificationError

if TYPE_CHECKING:
    from optimizer.decide.inputs import Inputs
    from optimizer.plan.types import Plan


def confirm(inputs: Inputs, plans: Sequence[Plan]) -> None:
    """Recompute every promise of every plan; raise ``VerificationError`` with all that differs."""
    from optimizer.verify import verify_plans, verify_ranking

    checked = verify_plans(inputs.problem, inputs.catalog, inputs.params, plans)
    found = [
        f"plan {plan.rank}: {mismatch}"
        for plan, mismatches in zip(plans, checked, strict=True)
        for mismatch in mismatches
    ]
    found += [str(mismatch) for mismatch in verify_ranking(inputs.problem, plans)]
    if found:
        raise VerificationError("the independent check does not confirm the answer:\n" + "\n".join(found))
