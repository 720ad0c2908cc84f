"""Verification: every promise of a plan recomputed forward, without the solver. A mismatch is our own failure."""

from optimizer.verify.case import Mismatch
from optimizer.verify.printed import RANKING_RULES
from optimizer.verify.rules import SERVICE_RULES, STATIC_RULES, verify_plan, verify_plans, verify_ranking

__all__ = [
    "RANKING_RULES",
    "SERVICE_RULES",
    "STATIC_RULES",
    "Mismatch",
    "verify_plan",
    "verify_plans",
    "verify_ranking",
]
