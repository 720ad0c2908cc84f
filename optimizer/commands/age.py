"""How old the newest price is today, on stderr: the answer itself ages prices against a stated day, never the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from optimizer.plan.types import Outcome


def say_age(outcome: Outcome, stream: TextIO, today: date | None = None, say: Callable[[str], str] = str) -> None:
    """One line about the newest price that was allowed to compete; none where no price has a date."""
    newest = outcome.proof.prices_to
    if newest is None:
        return
    now = today or date.today()
    days = (now - date.fromisoformat(newest)).days
    if days < 0:
        age = "dated ahead of today"
    else:
        age = "of today" if days == 0 else f"{days} day{'s' * (days != 1)} old today"
    stream.write(say(f"prices: the newest is of {newest}, {age}") + "\n")
    expires = outcome.others.expires
    if expires is not None and expires < now.isoformat():
        past = f"#1 could be ranked until {expires}, which is past"
        stream.write(say(f"prices: {past}: --set payment.as_of={now} asks anew") + "\n")
    stream.flush()
