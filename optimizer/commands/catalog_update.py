"""``optimize catalog update --from DIR``: newer prices from the lists of other programs, and what moved by them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optimizer.commands.options import language_option, say_of

if TYPE_CHECKING:
    from optimizer.catalog.importers.price_lists import Update
    from optimizer.catalog.importers.refresh import OfferRow, PriceChange

_WIDTH, _SHOWN = 80, 20


@click.command(name="update")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Directory with lists of SkyPilot (vms.csv), gpuhunt or ec2instances, in folders as they come.",
)
@click.option(
    "--catalogs",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory whose CSV files override or extend the packaged catalogs; its offers are refreshed too.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a directory for --catalogs: what moved, beside a copy of what --catalogs has.",
)
@click.option("--in-place", is_flag=True, help="Write over offers.csv of --catalogs DIR instead.")
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="The day the lists were made, which they do not state; without it the day each file was last written.",
)
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@language_option
def command(
    folder: Path,
    catalogs: Path | None,
    output: Path | None,
    in_place: bool,
    day: datetime | None,
    style: str,
    lang: str,
) -> None:
    """Refresh the prices of offers from lists of other programs, and print what moved.

    Without -o or --in-place nothing is written. Exit code 2 where no price could be read.
    """
    import sys

    from optimizer.catalog.importers.price_lists import update

    say = say_of(lang, style)
    target = _target(folder, catalogs, output, in_place=in_place)
    found = update(folder, catalogs, day.date() if day else None)
    if target is not None and found.refreshed.changes:
        _write(target, found.csv(), catalogs, in_place=in_place)
    if style == "json":
        click.echo(json.dumps(_document(found, target), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_text(found, target, say)))
    sys.exit(0 if found.refreshed.changes else 2)


def _target(folder: Path, catalogs: Path | None, output: Path | None, *, in_place: bool) -> Path | None:
    """The directory to write to. Raises ``UsageError`` where it is one that is read, unless that is asked for."""
    from optimizer.catalog import default_root
    from optimizer.errors import Finding, UsageError
    from optimizer.files.text_file import resolved

    if in_place and (catalogs is None or output is not None):
        raise UsageError([Finding("--in-place writes over offers.csv of --catalogs DIR: give --catalogs, and no -o")])
    if output is None:
        return catalogs if in_place else None
    read = {"the lists": folder, "the packaged catalogs": default_root(), "--catalogs": catalogs}
    for what, path in read.items():
        if path is not None and resolved(path) == resolved(output):
            hint = "--in-place says that --catalogs DIR itself is to change" if path == catalogs else None
            raise UsageError([Finding(f"cannot be the output: it is that of {what}", str(output), hint=hint)])
    return output


def _write(target: Path, offers: str, catalogs: Path | None, *, in_place: bool) -> None:
    from optimizer.catalog.importers.price_lists import OFFERS
    from optimizer.errors import Finding, UsageError
    from optimizer.files.atomic_write import write_all

    copied = [] if in_place or catalogs is None else [one for one in sorted(catalogs.rglob("*")) if one.is_file()]
    files: list[tuple[Path, str | bytes, int | None]] = [
        (target / one.relative_to(catalogs or target), one.read_bytes(), None)
        for one in copied
        if one != (catalogs or target) / OFFERS
    ]
    files.append((target / OFFERS, offers, None))
    try:
        for path, _, _ in files:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError([Finding(f"cannot be a folder: {error.strerror}", file=str(target))]) from error
    write_all(files, in_place=in_place)


def _text(found: Update, target: Path | None, say: Callable[[str], str]) -> Iterator[str]:
    from optimizer.catalog.importers.refresh import Moved

    lists = ", ".join(f"{one.name} ({one.program}, {one.day})" for one in found.lists)
    yield from _named("lists", lists, say)
    dated = "as stated by --date" if found.stated_day else (
        "the day each file was last written, as these lists state none; --date DAY says when they were made"
    )  # fmt: skip
    yield from _named("dates", say(dated), say)
    kept = "list, of marketplaces indicative; US dollars per node and hour; of all zones of a region the dearest"
    yield from _named("evidence", say(kept), say)
    if found.passed_over:
        yield from _named("no lists", ", ".join(found.passed_over), say)
    changes = found.refreshed
    for what in (Moved.PRICE, Moved.NEW, Moved.RETIRED):
        yield from _section(str(what), [_change(one, say) for one in changes.of(what)], say)
    for what in (Moved.SAME, Moved.KEPT):
        if number := len(changes.of(what)):
            yield from ("", say(f"{number:,} {what}"))
    questioned = [
        f"{_node(one.row, say)}: {say(one.questioned)} ({one.place})" for one in changes.changes if one.questioned
    ]
    yield from _section("questioned: far below the card's median, not ranked", questioned, say)
    aged = [f"{_node(row, say)}, {row['price_date']}" for row in changes.aged]
    yield from _section("too old to rank against the day of these lists", aged, say)
    refused = [f"{line.file}:{line.line}: {say(line.reason)}" for line in changes.refused]
    yield from _section("lines left out", refused, say)
    if found.without_gpu:
        yield from ("", say(f"{found.without_gpu:,} machines without a card passed over"))
    yield ""
    if target is None:
        yield say("nothing written: -o DIR writes a directory for --catalogs")
    elif changes.changes:
        yield from _named("written", f"{target / 'offers.csv'}: {say('use it with --catalogs')} {target}", say)
    else:
        yield say("nothing written: no price could be read")


def _section(title: str, entries: list[str], say: Callable[[str], str]) -> Iterator[str]:
    from optimizer.report.widths import wrap

    if not entries:
        return
    yield ""
    yield say(f"{len(entries):,} {title}")
    for entry in entries[:_SHOWN]:
        yield from wrap(entry, _WIDTH, "  ", "      ")
    if len(entries) > _SHOWN:
        yield "  " + say(f"and {len(entries) - _SHOWN:,} more: --format json has all")


def _named(name: str, text: str, say: Callable[[str], str]) -> Iterable[str]:
    from optimizer.report.widths import padded, wrap

    return wrap(text, _WIDTH, f"{padded(say(name), 9)} ", " " * 10)


def _node(row: OfferRow, say: Callable[[str], str]) -> str:
    where = f" {row['region']}" if row.get("region") else ""
    tier = say(row["tier"].replace("_", " "))
    return f"{row['provider']} {row.get('instance_type', '')}{where}, {row['gpus_per_node']}x {row['gpu']}, {tier}"


def _change(one: PriceChange, say: Callable[[str], str]) -> str:
    from optimizer.catalog.importers.refresh import Moved, may_rank

    before = one.before
    was = "" if before is None else f"{_money(before)} ({before['price_date'] or say('undated')}{_class(before, say)})"
    if one.what is Moved.RETIRED:
        return f"{_node(one.row, say)}: {was}"
    now = f"{_money(one.row)}{_class(one.row, say)}"
    if before is None:
        return f"{_node(one.row, say)}: {now}"
    if not may_rank(before) or before["currency"] != one.row["currency"]:
        return f"{_node(one.row, say)}: {was} -> {now}"
    share = float(one.row["amount"]) / float(before["amount"]) - 1.0
    return f"{_node(one.row, say)}: {was} -> {now}, {share:+.1%}".replace("%", " %")


def _money(row: OfferRow) -> str:
    sign = "$" if row["currency"] == "USD" else f"{row['currency']} "
    return f"{sign}{float(row['amount']):,.10g}"


def _class(row: OfferRow, say: Callable[[str], str]) -> str:
    from optimizer.catalog.importers.refresh import may_rank

    if not may_rank(row):
        return f", {say('reference')}"
    return f", {say('indicative')}" if row.get("evidence") == "indicative" else ""


def _document(found: Update, target: Path | None) -> dict[str, Any]:
    def price(row: OfferRow | None) -> dict[str, Any] | None:
        if row is None:
            return None
        return {
            "amount": float(row["amount"]),
            "currency": row["currency"],
            "price_date": row["price_date"] or None,
            "evidence": row.get("evidence") or None,
            "reason": row.get("reason") or None,
        }

    refreshed = found.refreshed
    return {
        "lists": [{"file": one.name, "program": one.program, "date": one.day} for one in found.lists],
        "date_stated": found.stated_day,
        "passed_over": list(found.passed_over),
        "changes": [
            {
                "what": one.what.name.lower(),
                **{key: one.row.get(key, "") for key in ("offer_id", "provider", "instance_type", "region", "gpu")},
                "gpus_per_node": int(one.row["gpus_per_node"]),
                "tier": one.row["tier"],
                "before": price(one.before),
                "now": price(one.row),
                "place": one.place,
                "questioned": one.questioned or None,
            }
            for one in refreshed.changes
        ],
        "too_old": [{"offer_id": row["offer_id"], "tier": row["tier"]} for row in refreshed.aged],
        "refused": [{"file": line.file, "line": line.line, "reason": line.reason} for line in refreshed.refused],
        "written": None if target is None or not refreshed.changes else str(target),
    }
