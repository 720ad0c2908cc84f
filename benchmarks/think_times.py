"""What sessions cost when people think longer between two turns: ``sessions_and_router`` answered again and again.

    python -m benchmarks.think_times        the table of docs/sessions.md, and its picture

Under either router, and with a KV tier in the memory of hosts, the same problem with another gap between an answer and
the next turn of its session.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from optimizer import solve
from optimizer.plan.types import Outcome
from optimizer.report.prefixes import hits_of

ROOT = Path(__file__).resolve().parent.parent
PROBLEM = ROOT / "problems" / "sessions_and_router.yaml"
PICTURE = ROOT / "docs" / "pictures" / "think_times.svg"
GAPS = (5, 15, 30, 60, 120)
ASKED = (
    ("round robin", "round_robin", "none"),
    ("sticky", "prefix_affinity", "none"),
    ("sticky, KV tier", "prefix_affinity", "any"),
)
"""What it is called, ``engine.router``, ``engine.kv_tiers``."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The cheapest plan; of the input the shares found, found in the memory of hosts, and to be found at most."""

    nodes: str
    dollars: float  # a month
    found: float
    host: float
    could: float

    @property
    def cells(self) -> str:
        """Two cells of the table."""
        host = f" ({self.host:.2f})" if "host" in self.nodes else ""
        return f"{self.nodes}, {self.dollars:,.0f} | {self.found:.2f}{host}"


def answer(router: str, tiers: str, gap: float) -> Answered:
    """Solve it once."""
    sets = {"engine.router": router, "engine.kv_tiers": tiers, "workloads.assistant.tokens.prefix_gap_s": gap}
    outcome = solve(PROBLEM, sets=[f"{path}={value}" for path, value in {**sets, "ranking.top": 1}.items()])
    assert isinstance(outcome, Outcome)
    plan = outcome.plans[0]
    hits = hits_of(plan, plan.predicted[0])
    assert hits is not None
    nodes = " + ".join(
        f"{group.replicas} x TP{group.tensor_parallel} {group.gpu}{' + host' if group.host_kv_gib else ''}"
        for group in plan.groups
    )
    return Answered(nodes, plan.monthly_cents / 100, hits.found, hits.host, hits.could)


def rows(answers: Sequence[Sequence[Answered]]) -> Iterator[str]:
    """One line for each gap."""
    could = answers[0][0].could
    yield f"| gap s | {' | '.join(f'{name}: cheapest, $ a month | found of {could:.2f}' for name, _, _ in ASKED)} |"
    yield "|---|" + "---|---|" * len(ASKED)
    for gap, row in zip(GAPS, answers, strict=True):
        yield f"| {gap} | {' | '.join(one.cells for one in row)} |"


def drawn(answers: Sequence[Sequence[Answered]]) -> str:
    """Money against the gap as SVG, its texts as text, the same bytes for the same answers."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "think times", "font.size": 10}):
        figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
        for place, ((name, _, _), mark) in enumerate(zip(ASKED, ("s", "o", "^"), strict=True)):
            axis.plot(GAPS, [row[place].dollars for row in answers], marker=mark, label=name)
        axis.set_xscale("log")
        axis.set_xticks(GAPS, [str(gap) for gap in GAPS])
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_xlabel("mean seconds between an answer and the next turn of its session")
        axis.set_ylabel("cheapest plan, USD a month")
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
        plt.close(figure)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def main() -> None:
    answers = [[answer(router, tiers, gap) for _, router, tiers in ASKED] for gap in GAPS]
    for row in rows(answers):
        print(row)
    PICTURE.write_text(drawn(answers), encoding="utf-8")


if __name__ == "__main__":
    main()
