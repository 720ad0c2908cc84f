"""What sessions come to, in words that ``check`` and the report share."""

from __future__ import annotations

from optimizer.demand import SessionMeans

_NEXT_TO_NOTHING = 0.005


def session_words(means: SessionMeans) -> str:
    """Turns and waits, lengths, and what of the input could be found."""
    waits = f"{_seconds(means.gap_mean_s)} on average, half within {_seconds(means.gap_p50_s)}"
    parts = [
        f"{means.turns:.3g} turns on average, the next one after {waits}, nine in ten within"
        f" {_seconds(means.gap_p90_s)}",
        f"a turn sends {_length(means.input, means.input_p95)} tokens and gets"
        f" {_length(means.output, means.output_p95)}",
        f"{means.reachable:.1%} of the input was sent before and could be found",
    ]
    if means.cut > _NEXT_TO_NOTHING:
        parts.append(f"{means.cut:.0%} of the sessions end at the longest context")
    return "; ".join(parts)


def people_words(users: float, think_s: float, means: SessionMeans | None) -> str:
    """A closed population and when it asks again."""
    if means is None:
        return f"{users:,.6g} users who think for {think_s:g} s"
    most = f"at most {users / think_s:,.3g} turns/s"
    return f"{users:,.6g} sessions at a time, the next turn {_seconds(think_s)} after an answer: {most}"


def _length(mean: float, p95: float) -> str:
    return f"{mean:,.0f}" if p95 <= mean * (1.0 + _NEXT_TO_NOTHING) else f"{mean:,.0f} (p95 {p95:,.0f})"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.3g} s" if seconds < 1_000 else f"{seconds:,.0f} s"
