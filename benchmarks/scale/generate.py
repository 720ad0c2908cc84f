"""Large problems for the scale benchmark: workloads, and offers on 150 node types, from a seed.

    python -m benchmarks.scale.generate FOLDER --workloads 50 [--seed 1] [--node-types 150] [--mix 2]

Writes ``FOLDER/problem.yaml`` and ``FOLDER/catalogs/offers.csv``. Models, cards and providers are those of the packaged
catalogs; lengths, loads and promises are drawn from classes of use, prices from the memory, bandwidth and arithmetic of
a card with the spread that lists of providers show. The packaged offers are replaced, not joined.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog, Gpu

MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen3-8B",
    "microsoft/phi-4",
    "Qwen/Qwen3-14B",
    "mistralai/Mistral-Small-24B-Instruct-2501",
    "google/gemma-3-27b-it",
    "Qwen/Qwen3-30B-A3B",
    "Qwen/Qwen3-32B",
    "openai/gpt-oss-20b",
    "openai/gpt-oss-120b",
    "meta-llama/Llama-3.1-70B-Instruct",
    "Qwen/Qwen2.5-72B-Instruct",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "CohereLabs/c4ai-command-r-plus",
)
"""From 7 to 117 billion parameters, dense and mixtures of experts."""

USES = (
    ("chat", (300, 2000), (150, 500), (500, 2000), (30, 80)),
    ("retrieval", (2000, 6000), (200, 600), (1500, 4000), (40, 100)),
    ("routing", (200, 1000), (5, 40), (300, 1000), None),
    ("summary", (3000, 7000), (200, 800), (3000, 10000), None),
    ("agent", (1500, 5000), (300, 1200), (1000, 3000), (25, 60)),
)
"""Name, ranges of input and output tokens, of TTFT and TPOT in milliseconds; None: not promised."""

SIZES = (1, 2, 4, 8)
PROVIDERS = ("aws", "azure", "gcp", "oci", "coreweave", "lambda", "nebius", "crusoe", "vultr", "runpod", "hyperstack")
HEADER = (
    *("offer_id", "provider", "instance_type", "gpu", "gpus_per_node", "link", "link_basis", "region", "network_gbps"),
    *("tier", "amount", "currency", "price_date", "price_date_as_stated", "price_source", "rankable", "reason"),
    *("notes", "stock"),
)
DAY = "2026-10-01"


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a problem is."""

    workloads: int
    seed: int = 1
    node_types: int = 150
    mix: int = 2
    top: int = 1


def node_types(catalog: Catalog, draw: random.Random, count: int) -> list[tuple[Gpu, int, str]]:
    """Cards in nodes of 1 to 8, so many of them, in content order."""
    found = []
    for gpu in catalog.gpus.values():
        if gpu.vendor not in ("nvidia", "amd") or gpu.confidence == "low" or not gpu.datacenter_licensed:
            continue
        for size in SIZES:
            link = "pcie" if size == 1 else str(gpu.link)
            if link == "nvlink_pair" and "nvl" not in gpu.id:
                link = "pcie"  # servers of such cards mostly come without bridges
            found.append((gpu, size, link))
    chosen = draw.sample(range(len(found)), min(count, len(found)))
    return [found[index] for index in sorted(chosen)]


def hourly(gpu: Gpu) -> float:
    """US dollars per GPU and hour, about as lists have it: an H100 near 2.7, an L4 near 0.6."""
    tflops = gpu.bf16_tflops or 100.0
    return 0.1 + 0.005 * gpu.memory_gb + 0.35 * gpu.bandwidth_gb_s / 1000 + 1.1 * tflops / 1000


def offers(catalog: Catalog, shape: Shape) -> Iterator[list[object]]:
    """Two to five offers of each node type; some with a stock, some with a commitment of a year."""
    draw = random.Random(f"offers/{shape.seed}")
    for gpu, size, link in node_types(catalog, draw, shape.node_types):
        for provider in draw.sample(PROVIDERS, draw.randint(2, 5)):
            name = f"{provider}-{gpu.id}-{size}x-{link}"
            on_demand = round(hourly(gpu) * size * draw.uniform(0.8, 1.7), 3)
            stock = draw.choice([None, None, None, draw.randint(2, 40)])
            prices = [("on_demand", on_demand)]
            if draw.random() < 0.5:
                prices.append(("reserved_1y", round(on_demand * draw.uniform(0.6, 0.9), 3)))
            for tier, amount in prices:
                yield [
                    *(name, provider, f"{gpu.id}.{size}", gpu.id, size, link, "generated", "region-1", ""),
                    *(tier, amount, "USD", DAY, DAY, "generated", "yes", "", "", "" if stock is None else stock),
                ]


def workloads(shape: Shape) -> Iterator[str]:
    """One workload a paragraph, as YAML."""
    draw = random.Random(f"workloads/{shape.seed}/{shape.workloads}")
    for number in range(shape.workloads):
        use, inputs, outputs, ttft, tpot = USES[draw.randrange(len(USES))]
        rate = round(10 ** draw.uniform(-0.3, 1.7), 2)
        mean_in, mean_out = draw.randint(*inputs), draw.randint(*outputs)
        slo = f"ttft_ms: {{p95: {draw.randint(*ttft)}}}"
        if tpot is not None:
            slo += f", tpot_ms: {{p95: {draw.randint(*tpot)}}}"
        yield (
            f"  - name: {use}-{number}\n"
            f"    model: {draw.choice(MODELS)}\n"
            f"    traffic: {{requests_per_second: {rate}}}\n"
            f"    tokens: {{input: {{mean: {mean_in}, p95: {2 * mean_in}}}, output: {{mean: {mean_out}, p95: "
            f"{2 * mean_out}}}, context_max: 16384}}\n"
            f"    slo: {{{slo}}}\n"
            f"    quality: {{min_recovery: {draw.choice([0.95, 0.97, 0.99])}}}\n"
        )


def write(folder: Path, shape: Shape) -> tuple[Path, Path]:
    """Write a problem and its offers; returns the file and the directory of catalogs."""
    from optimizer.catalog import load_catalog

    catalog = load_catalog()
    catalogs, problem = folder / "catalogs", folder / "problem.yaml"
    catalogs.mkdir(parents=True, exist_ok=True)
    with (catalogs / "offers.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(offers(catalog, shape))
    text = (
        f"name: {shape.workloads} workloads on {shape.node_types} node types, seed {shape.seed}\n"
        f"workloads:\n{''.join(workloads(shape))}"
        "hardware:\n  regions: [region-1]  # that of the generated offers: those of the packaged catalog stay out\n"
        "payment: {tiers: [on_demand, reserved_1y]}\n"
        f"ranking: {{top: {shape.top}, max_configurations_per_workload: {shape.mix}}}\n"
    )
    problem.write_text(text, encoding="utf-8")
    return problem, catalogs


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--workloads", "count", default=50, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--node-types", "types", default=150, show_default=True)
@click.option("--mix", default=2, show_default=True, help="Configurations that may share a workload.")
@click.option("--top", default=1, show_default=True, help="Plans that are ranked.")
def main(folder: Path, count: int, seed: int, types: int, mix: int, top: int) -> None:
    """Write the problem of a seed."""
    problem, catalogs = write(folder, Shape(count, seed, types, mix, top))
    click.echo(f"optimize {problem} --catalogs {catalogs} --no-simulate")


if __name__ == "__main__":
    main()
