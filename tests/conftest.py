"""What tests of every room share: the growth of work, and answers to the shipped problems, each solved once a run."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cache, wraps
from pathlib import Path

import pytest

from optimizer import catalog
from optimizer.catalog import load_catalog
from optimizer.catalog.types import Catalog
from optimizer.decide import solve_problem
from optimizer.plan.types import Outcome
from optimizer.planning.known import KnownProblems, keeping

PROBLEMS = Path(__file__).parents[1] / "problems"

Solved = Callable[..., Outcome]

SLOW = {
    "calibrate": "*",
    "candidates": "*",
    "catalog": "*",
    "commands": "*",
    "decide": "*",
    "fleet": "canary classes contracts dominance large metamorphic mixes objective_floors optimum profile ranking "
    "relax survival",
    "handover": "day_profile docs every_problem experiment language launch length_classes_handed_over page shortlist",
    "house": "notebooks",
    "negotiate": "*",
    "performance": "fluid operating_points population retention",
    "plan": "plots",
    "planning": "*",
    "pricing": "units_grow",
    "problem": "check_command one_defect problem_fuzz trace",
    "problems": "*",
    "report": "chinese front_page screen width",
    "service": "*",
    "simulate": "*",
    "verify": "drafts_verified mutations pools_verified replays",
}
"""Files of tests, by room (all with ``*``), that take seconds; the others together take less than a minute on two
cores."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test is ``fast`` or ``slow``, by the file it stands in."""
    for item in items:
        name, room = item.path.stem.removeprefix("test_"), item.path.parent.name
        slow = SLOW.get(room, "").split()
        item.add_marker(pytest.mark.slow if name in slow or slow == ["*"] else pytest.mark.fast)


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


@cache
def _packaged(cards: tuple[str, ...]) -> tuple[Catalog, KnownProblems]:
    """The packaged catalogs, with the offers of some cards only where some are named, and what is known beside them."""
    whole = load_catalog()
    if not cards:
        return whole, KnownProblems(24)
    assert whole.gpus.keys() >= set(cards), cards
    few = {key: offer for key, offer in whole.offers.items() if offer.gpu in cards}
    return replace(whole, offers=few), KnownProblems(12)


@pytest.fixture(autouse=True)
def what_is_known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Questions of all tests of a process share the packaged catalogs and what is known of their problem files, which
    changes no answer.

    Not where ``cold`` is marked: a test that replaces what works it out, or counts how often. Where ``cards`` are
    marked there are no prices but those of these cards, which takes a third of the time.
    """
    if request.node.get_closest_marker("cold"):
        yield
        return
    mark = request.node.get_closest_marker("cards")
    assert mark is None or "solved" not in request.fixturenames, "what all tests share is solved with all prices"
    packaged, known = _packaged(mark.args if mark else ())

    @wraps(load_catalog)
    def loaded(root: Path | str | None = None, *, models: Collection[str] | None = None) -> Catalog:
        return load_catalog(root, models=models) if root or models else packaged

    monkeypatch.setattr(catalog, "load_catalog", loaded)
    with keeping(known):
        yield


@pytest.fixture(scope="session")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Solved:
    """The answer to a shipped problem: ``solved("day_profile", "ranking.top=1", simulate=False)``.

    Whichever test process asks first solves it and leaves the outcome for the others of the same run.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "solved"
    folder.mkdir(exist_ok=True)

    @cache
    def ask(name: str, *sets: str, simulate: bool = True) -> Outcome:
        file = folder / hashlib.sha256(repr((name, sets, simulate)).encode()).hexdigest()
        if file.exists():
            known: Outcome = pickle.loads(file.read_bytes())
            return known
        found = solve_problem(PROBLEMS / f"{name}.yaml", sets=sets, simulate=simulate)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_bytes(pickle.dumps(found))
        part.replace(file)
        return found

    return ask
