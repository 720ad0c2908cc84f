"""Candidates: possible replica configurations, their operating points, and how many each rule leaves."""

from optimizer.candidates.enumerate import enumerate_candidates
from optimizer.candidates.funnel import configuration_allowed, kept_points
from optimizer.candidates.rules import user_rules
from optimizer.candidates.types import Candidate, CandidateSet

__all__ = ["Candidate", "CandidateSet", "configuration_allowed", "enumerate_candidates", "kept_points", "user_rules"]
