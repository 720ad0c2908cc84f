"""``traffic.profile`` - how the load moves through the day."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from optimizer.problem.fields import Name, Section


class ProfilePeriod(Section):
    """One period of the day. The hours of all periods add up to ``payment.hours_per_month``."""

    name: Name
    """Name of the period."""

    hours_per_month: Annotated[float, Field(gt=0, le=744)]
    """Hours that the period lasts in a month, all days together."""

    factor: Annotated[float, Field(ge=0, le=1000)]
    """What the stated load is multiplied by in the period; 0: nothing runs but ``min_replicas``."""

    starts_per_month: Annotated[float, Field(gt=0, le=744)] | None = None
    """How often the period begins in a month; nodes that it needs beyond the period before it are started then.
    null: once a day."""
