"""Draw the house: rooms of the package, what each imports, and what stands against the order of docs/design.md.

    python -m tools.house

Reads source only. Imports under ``TYPE_CHECKING`` and inside functions count, as a reader has to follow them too.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "optimizer"
ROOMS = (
    "root", "files", "plan", "problem", "catalog", "performance", "pricing", "candidates", "simulate", "calibrate",
    "fleet", "verify", "planning", "whatif", "decide", "negotiate", "report", "handover", "service", "commands",
)  # fmt: skip
"""In the order in which data flows: a room may import those before it (docs/design.md, section 2)."""


@dataclass(frozen=True, slots=True)
class House:
    """Modules of the package with what each imports and defines."""

    uses: Mapping[str, frozenset[str]]  # module -> modules of the package
    classes: Mapping[str, tuple[str, ...]]  # class name -> modules that define it
    lines: Mapping[str, int]
    packages: frozenset[str]  # modules that are an __init__

    def room(self, module: str) -> str:
        """The room a module stands in; the root for what stands in none."""
        parts = module.split(".")
        alone = len(parts) == 2 and module not in self.packages
        return "root" if len(parts) < 2 or alone else parts[1]

    def arrows(self) -> dict[tuple[str, str], int]:
        """How many imports go from one room to another."""
        found: dict[tuple[str, str], int] = defaultdict(int)
        for module, used in self.uses.items():
            for other in used:
                if self.room(module) != self.room(other):
                    found[self.room(module), self.room(other)] += 1
        return dict(found)

    def against_the_flow(self) -> list[tuple[str, str]]:
        """Imports of a room that comes later; the public API, which imports on first use, aside."""
        return sorted(
            (module, other)
            for module, used in self.uses.items()
            if module not in (PACKAGE, f"{PACKAGE}.__main__")
            for other in used
            if other != PACKAGE and ROOMS.index(self.room(module)) < ROOMS.index(self.room(other))
        )

    def circles(self) -> list[tuple[str, ...]]:
        """Groups of modules each of which leads back to itself (Tarjan's strongly connected components)."""
        return sorted(_components(self.uses))

    def named_twice(self) -> dict[str, tuple[str, ...]]:
        """Class names that more than one module defines."""
        return {name: where for name, where in sorted(self.classes.items()) if len(where) > 1}


def read_house(root: Path) -> House:
    """Read every module below ``root / PACKAGE``."""
    files = {_module(path.relative_to(root)): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    packages = frozenset(module for module, path in files.items() if path.name == "__init__.py")
    uses: dict[str, frozenset[str]] = {}
    classes: dict[str, list[str]] = defaultdict(list)
    lines: dict[str, int] = {}
    for module, path in files.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        lines[module] = text.count("\n")
        imported = {one for node in ast.walk(tree) for one in _imported(node, frozenset(files))}
        uses[module] = frozenset(imported - {module})
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(module)
    return House(uses, {name: tuple(where) for name, where in classes.items()}, lines, packages)


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(node: ast.AST, known: frozenset[str]) -> Iterator[str]:
    """Modules of the package that an import statement names; all imports are absolute (ruff checks it)."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            module = f"{node.module}.{alias.name}"
            target = module if module in known else node.module
            if target in known:
                yield target


def _components(uses: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, ...]]:
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[tuple[str, ...]]:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(uses[module]):
            if other not in index:
                yield from visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                yield tuple(sorted(group))

    for module in uses:
        if module not in index:
            yield from visit(module)


def drawing(house: House) -> str:
    """The rooms from first to last, each with its size and the rooms it imports."""
    arrows, sizes = house.arrows(), defaultdict(list)
    for module, lines in house.lines.items():
        sizes[house.room(module)].append(lines)
    rows = [f"{'room':12s} modules  lines  imports"]
    for room in ROOMS:
        if room in sizes:
            used = [other for other in ROOMS if (room, other) in arrows and other != "root"]
            rows.append(f"{room:12s} {len(sizes[room]):7d} {sum(sizes[room]):6d}  {' '.join(used)}")
    total = sum(len(lines) for lines in sizes.values())
    rows.append(f"{'all':12s} {total:7d} {sum(house.lines.values()):6d}")
    for what, found in (
        ("circles", [" <-> ".join(circle) for circle in house.circles()]),
        ("imports against the flow", [f"{module} -> {other}" for module, other in house.against_the_flow()]),
        ("class names used twice", [f"{name}: {', '.join(where)}" for name, where in house.named_twice().items()]),
    ):
        rows += [f"{what}: {len(found)}", *(f"  {line}" for line in found)]
    return "\n".join(rows)


if __name__ == "__main__":
    print(drawing(read_house(Path(__file__).resolve().parents[1])))
