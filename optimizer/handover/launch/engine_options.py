"""Which command-line options an engine's release knows: catalogs/engine_options.csv, from their argument parsers.

Of a release between two that were read an option must be known to both; outside what was read nothing is certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from optimizer.vocabulary import split_version

_COMMANDS = (
    (("vllm", "serve"), "vllm serve"),
    (("vllm", "bench", "serve"), "vllm bench serve"),
    (("sglang", "serve"), "sglang serve"),
    (("python", "-m", "sglang.launch_server"), "sglang serve"),
    (("python", "-m", "sglang.benchmark.serving"), "sglang bench_serving"),
    (("python", "-m", "sglang.bench_serving"), "sglang bench_serving"),
    (("trtllm-serve",), "trtllm-serve"),
    (
        ("python", "-m", "tensorrt_llm.serve.scripts.benchmark_serving"),
        "tensorrt_llm.serve.scripts.benchmark_serving",
    ),
)
"""How a command begins, and what its options are filed under."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The first and the last of the releases that were read which know an option."""

    first: str
    last: str


@dataclass(frozen=True)
class OptionFacts:
    """Options by command, and the releases that were read of each command, oldest first."""

    options: Mapping[str, Mapping[str, _Known]]
    read: Mapping[str, tuple[str, ...]]

    def newest(self, words: Sequence[str]) -> str:
        """The newest release read of the command that words begin with; empty where none was."""
        command = next((name for begin, name in _COMMANDS if tuple(words[: len(begin)]) == begin), "")
        return self.read[command][-1] if command in self.read else ""

    def doubts(self, words: Sequence[str], version: str) -> Iterator[str]:
        """What is wrong or uncertain about the options of a command for a release; empty: the newest that was read."""
        command = next((name for begin, name in _COMMANDS if tuple(words[: len(begin)]) == begin), None)
        if command is None or command not in self.read:
            return
        read = self.read[command]
        around = _around(read, version)
        if around is None:
            yield (
                f"{command} {version} was not read (only {', '.join(read)}): check the options against "
                f"`{' '.join(words[:2])} --help`"
            )
            around = (read[-1],)
        for option in dict.fromkeys(word for word in words if word.startswith("--")):
            known = self.options[command].get(option)
            missing = [one for one in around if known is None or not _within(known, one, read)]
            if missing:
                yield f"{command} {', '.join(missing)} does not know {option}"


def _around(read: Sequence[str], version: str) -> tuple[str, ...] | None:
    """The releases that were read on either side of one; None where it lies outside them or cannot be compared."""
    if not version:
        return (read[-1],)
    asked = split_version(version)
    numbered = [(split_version(one), one) for one in read]
    if not asked or not all(number for number, _ in numbered):
        return None
    below = [one for number, one in numbered if number <= asked]
    above = [one for number, one in numbered if number >= asked]
    return tuple(dict.fromkeys((below[-1], above[0]))) if below and above else None


def _within(known: _Known, release: str, read: Sequence[str]) -> bool:
    return read.index(known.first) <= read.index(release) <= read.index(known.last)


def read_options(catalogs: Path | None = None) -> OptionFacts:
    """The table of a folder of catalogs, or the packaged one."""
    from optimizer.catalog import default_root
    from optimizer.errors import CatalogError
    from optimizer.files.csv_file import read_table

    own = catalogs / "engine_options.csv" if catalogs is not None else None
    path = own if own is not None and own.is_file() else default_root() / "engine_options.csv"
    columns = ("engine", "command", "option", "first_seen", "last_seen", "versions_read", "source")
    table = read_table(path, columns)
    options: dict[str, dict[str, _Known]] = {}
    read: dict[str, tuple[str, ...]] = {}
    for row in table:
        command = row.required("command")
        seen = _Known(row.required("first_seen"), row.required("last_seen"))
        options.setdefault(command, {})[row.required("option")] = seen
        read[command] = tuple(row.required("versions_read").split())
    if table.findings:
        raise CatalogError(table.findings)
    return OptionFacts(MappingProxyType(options), MappingProxyType(read))
