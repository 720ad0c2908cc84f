"""``traffic.profile`` - how the load moves through the day."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from optimizer.problem.fields import Looser, Name, Number, Section


class ProfilePeriod(Section):
    """One period of the day. The hours of all periods add up to ``payment.hours_per_month``."""

    name: Name
    """Name of the period."""

    hours_per_month: Annotated[
        float,
        Field(gt=0, le=744),
        Number(
            "hours of the period {name}",
            "hours a month",
            "1",
            Looser.UNKNOWN,
            axis="the hours of all periods add up to payment.hours_per_month: none moves alone",
            monotone=False,
        ),
    ]
    """Hours that the period lasts in a month, all days together."""

    factor: Annotated[
        float,
        Field(ge=0, le=1000),
        Number("load in the period {name}", "times the stated load", "0.01", Looser.DOWN, axis=True),
    ]
    """What the stated load is multiplied by in the period; 0: nothing runs but ``min_replicas``."""

    starts_per_month: Annotated[
        Annotated[float, Field(gt=0, le=744)] | None,
        Number("starts of the period {name}", "times a month", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = None
    """How often the period begins in a month; nodes that it needs beyond the period before it are started then.
    null: once a day."""
