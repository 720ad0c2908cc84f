"""What tests of every room share."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

SLACK = 4.0
"""How far above proportion processor time may grow: shared machines are noisy, a square would be far beyond it."""


@pytest.fixture
def grows_with() -> Callable[[Callable[[], object], Callable[[], object], float], None]:
    """Fails where the second work takes out of proportion longer than the first, which is ``times`` smaller."""

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    def check(small: Callable[[], object], large: Callable[[], object], times: float) -> None:
        small()
        least, most = (min(seconds(work) for _ in range(3)) for work in (small, large))
        assert most < SLACK * times * max(least, 1e-3), (least, most)

    return check
