"""Lists of quotes with known contents, mangled: what reading them may and may not say."""

from __future__ import annotations

import csv
import io
import random
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

PROVIDERS = [
    "Huawei",
    "华为",
    "AMD",
    "huawei-cn",
    "inspur-sh",
    "某云A",
    "OVH EU",
    "aws",
    "Lambda Cloud",
    "Dell 中国",
    "NVIDIA",
]
CARDS = [
    "8xH20",
    "H20 96G",
    "NVIDIA H100 80GB SXM5",
    "H100 SXM",
    "H100 PCIe 80GB",
    "A800 80G SXM",
    "8x910B3",
    "昇腾910B4",
    "mi300x_192",
    "MI325X",
    "RTX 4090 48G",
    "RTX4090",
    "L20",
    "L40S",
    "L40",
    "H200 141GB SXM",
    "RTX PRO 6000 Server",
    "A100-SXM4-80GB",
]
HEADERS = [
    ("provider", "gpu", "gpus_per_node", "price", "currency", "unit", "valid_until", "notes"),
    ("供应商", "显卡型号", "卡数", "含税单价（元/台/月）", "", "", "有效期至", "备注"),
    ("Vendor", "GPU Model", "GPUs per node", "Price (USD per GPU hour)", "", "", "Valid until", "Remarks"),
    ("供应商", "型号", "数量", "月租(万元/台)", "", "", "报价有效期", "说明"),
    ("Supplier", "Card", "Cards", "Amount", "Currency", "Unit", "Expires", "Comment"),
]


@dataclass(frozen=True)
class Case:
    """A file, and the provider and card cells of its lines, as they stand after mangling."""

    text: str
    cells: dict[int, tuple[str, ...]]


def mangled(seed: int) -> Case:
    """One file: a sound list, then one to four things done to it."""
    draw = random.Random(seed)
    header = list(draw.choice(HEADERS))
    rows = [_row(draw, header) for _ in range(draw.randint(1, 4))]
    table = [header, *rows]
    keep = [at for at, name in enumerate(header) if name]
    table = [[row[at] for at in keep] for row in table]
    for _ in range(draw.randint(0, 4)):
        draw.choice(MANGLES)(draw, table)
    stream = io.StringIO()
    quoting: Any = draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(stream, delimiter=draw.choice(",,,;\t"), quoting=quoting, lineterminator="\n")
    writer.writerows(table)
    text = stream.getvalue()
    if draw.random() < 0.1:
        text = text.replace('"', "")
    return Case(text, {number: tuple(row) for number, row in enumerate(table, start=1)})


def _row(draw: random.Random, header: list[str]) -> list[str]:
    price = {
        "price": ("23.92", "USD", "hour"),
        "Amount": ("￥68,000", "", "元/台/月"),
        "含税单价（元/台/月）": (draw.choice(["68000", "6.8万", "￥72,000"]), "", ""),
        "月租(万元/台)": (draw.choice(["6.8", "7.2"]), "", ""),
        "Price (USD per GPU hour)": (draw.choice(["2.99", "$3.10"]), "", ""),
    }[header[3]]
    count = draw.choice(["8卡", "8"]) if header[2] != "数量" else "8卡"
    until = draw.choice(["2026-12-31", "2026年12月15日", "05/06/2026", "12/15/2026", ""])
    return [draw.choice(PROVIDERS), draw.choice(CARDS), count, *price, until, draw.choice(["", "裸金属", "ok, fine"])]


def _typo(draw: random.Random, table: list[list[str]]) -> None:
    row = draw.choice(table)
    if not row:
        return
    at = draw.randrange(len(row))
    cell = list(row[at])
    if not cell:
        return
    place = draw.randrange(len(cell))
    what = draw.randrange(4)
    if what == 0:
        del cell[place]
    elif what == 1:
        cell[place] = draw.choice("0123456789OlISXabz ,.-")
    elif what == 2:
        cell.insert(place, draw.choice("0123456789OlISXabz ,.-"))
    else:
        cell = [*cell, *cell]
    row[at] = "".join(cell)


def _swap_columns(draw: random.Random, table: list[list[str]]) -> None:
    row = draw.choice(table)
    if len(row) > 1:
        one, other = draw.sample(range(len(row)), 2)
        row[one], row[other] = row[other], row[one]


def _drop_cell(draw: random.Random, table: list[list[str]]) -> None:
    row = draw.choice(table)
    if row:
        del row[draw.randrange(len(row))]


def _blank_cell(draw: random.Random, table: list[list[str]]) -> None:
    row = draw.choice(table)
    if row:
        row[draw.randrange(len(row))] = ""


def _add_cell(draw: random.Random, table: list[list[str]]) -> None:
    row = draw.choice(table)
    row.insert(draw.randrange(len(row) + 1), draw.choice(["", "x", "8", "H100", "￥49", "800"]))


def _add_line(draw: random.Random, table: list[list[str]]) -> None:
    line = draw.choice([["合计", "", "", "1"], [""], ["报价单 2026"], list(table[0]), ["\x00"], ["\u202eabc"]])
    table.insert(draw.randrange(len(table) + 1), line)


def _drop_column(draw: random.Random, table: list[list[str]]) -> None:
    width = min(map(len, table))
    if width:
        at = draw.randrange(width)
        for row in table:
            del row[at]


MANGLES = (_typo, _typo, _typo, _swap_columns, _drop_cell, _blank_cell, _add_cell, _add_line, _drop_column)


def bears(text: str, gpu: str) -> bool:
    """Whether a text names a card as a whole word: a reading of its own, by the id's parts without size and form."""
    plain = unicodedata.normalize("NFKC", text).lower()
    words = [word for word in gpu.split("_") if word not in _BESIDE]
    named = words[:-1] if len(words) > 1 and re.fullmatch(r"\d+(mod)?", words[-1]) else words
    spelled = r"[\s\-_]*".join(r"[\s\-_]*".join(re.findall(r"[a-z]+|\d+", word)) for word in named)
    return gpu in plain or re.search(rf"(?<![a-z0-9])(rtx|8x)?[\s\-]*{spelled}(?![a-z0-9])", plain) is not None


_BESIDE = {"sxm", "pcie", "nvl", "ascend", "rtx", "server", "ws", "maxq", "duo"}
