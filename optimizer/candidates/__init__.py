"""Candidates: possible replica configurations and what each carries; nothing of rules or money."""

from optimizer.candidates.types import Candidate

__all__ = ["Candidate"]
