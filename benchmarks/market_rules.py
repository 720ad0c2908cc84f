"""Random problem files with rules about whom to buy from: no plan and no repair is outside them.

Regions, classes, providers, countries, seats, certificates, a market, and the last days of quotes; half of the files
have quotes of their own. What a plan breaks is read off the file and the catalog, not off the rules of the program.

    python -m benchmarks.market_rules            1,000 files
    python -m benchmarks.market_rules 100 7      100 files from the seed 7 on
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.pricing import NodeOption

DAY = "2026-11-30"
"""Today, as far as quotes without ``payment.as_of`` are concerned."""

KEPT = ("hardware.regions", "hardware.providers", "hardware.market", "hardware.require", "hardware.datacenter")
"""What no repair may change."""

REGIONS = ("us-east-1", "eastus", "us-central1", "FIN-03", "eu-north1", "eu-west-3", "cn-hangzhou")
COUNTRIES = ("US", "FI", "CN", "DE", "IN", "CA")
CLASSES = ("hyperscaler", "neocloud", "reseller", "marketplace")
CARDS = ("h100_sxm_80", "a100_sxm_80", "l40s_48", "h20_96", "a10g_24")
KINDS = {"regions": 4, "classes": 3, "providers": 3, "country": 3, "headquarters": 3, "papers": 1, "market": 3}
"""What a file rules about, and how often."""

PAPERS = ("ISO 27001", "SOC 2", "C5")


def ruled(seed: int) -> dict[str, Any]:
    """A problem file with a few rules about whom to buy from, and in half of the cases with quotes."""
    draw = random.Random(seed)
    hardware: dict[str, object] = {"gpus": draw.sample(CARDS, 3)}
    kinds = draw.choices(list(KINDS), list(KINDS.values()), k=2)
    require: dict[str, object] = {}
    for kind in kinds:
        if kind == "regions":
            hardware["regions"] = draw.sample(REGIONS, 4)
        elif kind == "classes" and "providers" not in hardware:
            hardware["providers"] = {"classes": draw.sample(CLASSES, 2), "exclude": draw.sample(("aws", "runpod"), 1)}
        elif kind == "providers" and "providers" not in hardware:
            hardware["providers"] = draw.sample(("aws", "azure", "verda", "nebius", "lambda"), 2)
        elif kind == "country":
            require["countries"] = ["US", *draw.sample(COUNTRIES, 2)]
        elif kind == "headquarters":
            require["headquarters"] = ["US", *draw.sample(COUNTRIES, 2)]
        elif kind == "papers":
            require["certificates"] = draw.sample(PAPERS, 1)
        elif kind == "market":
            hardware["market"] = draw.choice(("cn", "us"))
    offers = [_quote(draw, number) for number in range(draw.randint(1, 4))] if seed % 2 else []
    return {
        "workloads": [
            {
                "name": "chat",
                "model": "meta-llama/Llama-3.1-8B-Instruct",
                "traffic": {"requests_per_second": draw.choice((2, 20))},
                "tokens": {"input": 1000, "output": 200, "context_max": 4096},
                "slo": {"ttft_ms": {"p95": draw.choice((60, 1000, 1000))}, "tpot_ms": {"p95": 50}},
            }
        ],
        "hardware": {**hardware, "require": require},
        "offers": offers,
        "payment": {"tiers": ["on_demand"], "as_of": draw.choice((None, "2026-11-21", "2026-12-24"))},
        "ranking": {"top": 2},
    }


def _quote(draw: random.Random, number: int) -> dict[str, object]:
    facts: dict[str, object] = {
        "region": draw.choice(REGIONS),
        "country": draw.choice(COUNTRIES),
        "headquarters": draw.choice(COUNTRIES),
        "certificates": draw.sample(PAPERS, 2),
        "provider_class": draw.choice(CLASSES),
        "valid_until": draw.choice(("2026-10-01", "2026-11-30", "2026-12-24", "2027-06-30")),
    }
    kept = draw.sample(sorted(facts), draw.randint(0, len(facts)))
    return {
        "id": f"q{number}",
        "provider": draw.choice(("aws", "verda", "newcloud")),
        "gpu": draw.choice(("h100_sxm_80", "l40s_48", "h20_96")),
        "gpus_per_node": draw.choice((1, 8)),
        "currency": "USD",
        "price_per_hour": draw.choice((0.5, 3.0, 30.0)),
        **{key: facts[key] for key in kept},
    }


def outside(problem: dict[str, Any], option: NodeOption, catalog: Catalog) -> list[str]:
    """Rules that a node of a plan breaks, read off the file and the catalog, not off the rules of the program."""
    hardware, offer = problem["hardware"], option.offer
    quote = {one["id"]: one for one in problem["offers"]}.get(offer.id)
    provider, row = catalog.providers.get(offer.provider), catalog.offers.get(offer.id)
    region = quote.get("region") if quote is not None else row.region if row else ""

    def fact(key: str, known: object) -> object:
        return (quote.get(key) or known) if quote is not None else known

    place = catalog.regions.get((offer.provider, region))
    country = fact("country", row.country if row else (place.country if place else ""))
    seat = fact("headquarters", provider.headquarters if provider else "")
    papers: Any = fact("certificates", provider.certificates if provider else ())
    kind = fact("provider_class", str(provider.provider_class) if provider else None)
    require: dict[str, Any] = hardware["require"]
    asked_papers = require.get("certificates", ())
    providers = hardware.get("providers")
    checks = {
        "regions": "regions" not in hardware or region in hardware["regions"],
        "countries": country in require.get("countries", [country]),
        "headquarters": seat in require.get("headquarters", [seat]),
        "certificates": all(any(f"{one} ".startswith(f"{name} ") for one in papers) for name in asked_papers),
        "market": "market" not in hardware or (country or seat) == hardware["market"].upper(),
        "gpus": offer.gpu in hardware["gpus"],
    }
    if isinstance(providers, list):
        checks["providers"] = offer.provider in providers
    elif providers is not None:
        checks["providers"] = kind in providers["classes"] and offer.provider not in providers["exclude"]
    if quote is not None and "valid_until" in quote:
        checks["valid"] = quote["valid_until"] >= (problem["payment"]["as_of"] or DAY)
    return [name for name, holds in checks.items() if not holds]


def checked(seed: int, path: Path) -> tuple[Counter[str], list[str]]:
    """What was seen of one file, which is written to ``path``: its kind, and everything that is outside its rules."""
    from optimizer.decide import read_inputs
    from optimizer.fleet.types import Edit
    from optimizer.progress import TODAY
    from optimizer.whatif.case import open_case
    from optimizer.whatif.choices import as_set
    from optimizer.whatif.ways_out import ways_out

    os.environ[TODAY] = DAY
    problem = ruled(seed)
    path.write_text(json.dumps(problem), encoding="utf-8")
    case = open_case(read_inputs(path))
    catalog, found = case.inputs.catalog, case.solve(top=2).solutions
    seen = Counter({"files": 1, "with quotes": bool(problem["offers"]), "with a plan": bool(found)})
    seen["plans"] = len(found)
    nodes = [node.option for plan in found for node in plan.nodes]
    seen["plans on a quote"] = any(option.offer.id.startswith("q") for option in nodes)
    wrong = [
        f"{seed}: {option.offer.id}: {broken}" for option in nodes if (broken := outside(problem, option, catalog))
    ]
    for way in () if found else ways_out(case, lambda _: None):
        edits = [Edit(way.change, way.before, way.after), *(Edit(*one) for one in way.also)]
        wrong += [f"{seed}: repair changes {edit.path}" for edit in edits if edit.path.startswith(KEPT)]
        repaired = case.edited([as_set(edit) for edit in edits]).solve().solutions
        seen["repairs, each solved again"] += 1
        if not repaired:
            wrong.append(f"{seed}: repair {way.change} gives no plan")
            continue
        left = {name for node in repaired[0].nodes for name in outside(problem, node.option, catalog)}
        wrong += [f"{seed}: repair {way.change} leads outside {name}" for name in left - {"gpus"}]
    return seen, wrong


def main() -> int:
    """Print the figures; exit code 1 where anything is outside."""
    files, start = (int(word) for word in (*sys.argv[1:3], *("1000", "0")[len(sys.argv[1:3]) :]))
    total, wrong = Counter[str](), list[str]()
    with TemporaryDirectory() as folder:
        for seed in range(start, start + files):
            seen, broken = checked(seed, Path(folder) / "problem.yaml")
            total += seen
            wrong += broken
    for name, number in total.items():
        print(f"{number:>7,} {name}")
    print(f"{len(wrong):>7,} plans or repairs outside the rules")
    for line in wrong[:20]:
        print(f"        {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
