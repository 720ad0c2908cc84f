"""Compile a numeric function with numba where it is installed; without it the same source runs interpreted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """``function`` compiled (and cached on disk), or itself when numba is missing."""
    try:
        import numba
    except ImportError:
        return function
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))
