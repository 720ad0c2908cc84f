"""Which renderer an answer of the negotiation room has."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType

from optimizer.errors import UsageError

_RENDERERS = MappingProxyType(
    {
        "BudgetAnswer": ("negotiate_budget", "render_budget", ("text", "json")),
        "Comparison": ("negotiate_compare", "render_comparison", ("text", "json")),
        "Explanation": ("negotiate_explain", "render_explanation", ("text", "json")),
        "Frontier": ("negotiate_frontier", "render_frontier", ("text", "json", "csv")),
        "Targets": ("negotiate_targets", "render_targets", ("text", "json", "csv")),
        "WhyNot": ("negotiate_why_not", "render_why_not", ("text", "json")),
    }
)


def render_answer(answer: object, style: str) -> str:
    """The report of an answer. Raises ``UsageError`` for a format that it does not have."""
    module, name, styles = _RENDERERS[type(answer).__name__]
    if style not in styles:
        raise UsageError(f"no report format {style!r} for this answer; there are {', '.join(styles)}")
    report = getattr(import_module(f"optimizer.report.{module}"), name)(answer, style)
    assert isinstance(report, str)
    return report
