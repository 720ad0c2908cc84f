"""Make the object code of the event loops. Imports numba: the build hook does, and a run that finds no object code.

A wrapper that takes flat buffers is written for each entry and compiled with every kernel it reaches; the object code
is for a generic processor of this kind, without the extensions of the machine at hand, so the same build serves all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

os.environ.setdefault("NUMBA_CPU_NAME", "generic")
os.environ.setdefault("NUMBA_CPU_FEATURES", "")

import numba
from numba import types

from optimizer.simulate import admission, engine_step, fleet_loop, loop, people_loop
from optimizer.simulate.compiled import KERNELS, Entry, Layout, file_name, layout_of, sealed, symbol_of

_GENERIC = {"x86_64": "x86-64", "amd64": "x86-64"}
"""Names of the oldest processor of a kind, where LLVM does not call it generic."""


def entries() -> tuple[Entry[Any, Any], ...]:
    """Every loop that Python calls."""
    return loop.run, fleet_loop.serve_fleet, people_loop.serve_people


def write_object_code(entry: Entry[Any, Any], folder: Path) -> bool:
    """Compile an entry into a folder, whole or not at all; False where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    handle, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(sealed(object_code(entry)))
        Path(name).replace(folder / file_name(entry.name))
    except OSError:
        Path(name).unlink(missing_ok=True)
        return False
    return True


def object_code(entry: Entry[Any, Any]) -> bytes:
    """The object file of one entry, with its symbol named as the loader looks for it."""
    import llvmlite.binding as llvm

    layout = layout_of(entry.interpreted)
    with _kernels_compiled() as compiled:
        wrapper, signature = _wrapper(layout, compiled[entry.interpreted])
        function: Any = numba.cfunc(signature, error_model="numpy")(wrapper)
    module = function._library._final_module
    module.get_function(function._wrapper_name).name = symbol_of(entry.name)
    target = llvm.Target.from_triple(module.triple)
    kind = module.triple.partition("-")[0]
    machine = target.create_target_machine(cpu=_GENERIC.get(kind, "generic"), opt=3, reloc="pic", codemodel="default")
    code: bytes = machine.emit_object(module)
    return code


@cache
def _dispatchers() -> dict[Callable[..., Any], Any]:
    """The compiled form of every kernel; entries share them."""
    return {kernel: numba.njit(error_model="numpy")(kernel) for kernel in KERNELS}


@contextmanager
def _kernels_compiled() -> Iterator[dict[Callable[..., Any], Any]]:
    """Every global of the loops' modules that is a kernel stands for its compiled form meanwhile."""
    compiled = _dispatchers()
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    for module in (admission, engine_step, fleet_loop, loop, people_loop):
        names = vars(module)
        for name, value in list(names.items()):
            plain = value.interpreted if isinstance(value, Entry) else value
            if isinstance(plain, FunctionType) and plain in compiled:
                replaced.append((names, name, value))
                names[name] = compiled[plain]
    try:
        yield compiled
    finally:
        for names, name, value in replaced:
            names[name] = value


_pointer: Any = types.CPointer
_TYPES: dict[str, Any] = {"floats": _pointer(types.float64), "ints": _pointer(types.int64)}


def _wrapper(layout: Layout, loop: Any) -> tuple[Callable[..., Any], Any]:
    """A function of flat buffers that calls the loop, and its signature."""
    parameters, arguments = ["floats", "ints"], []
    signature = [_TYPES["floats"], _TYPES["ints"]]
    names: dict[str, Any] = {"carray": vars(numba)["carray"], "loop": loop}
    at = {"float": 0, "int": 0}

    def take(kind: str) -> str:
        at[kind] += 1
        return f"{kind}s[{at[kind] - 1}]"

    for number, (kind, slots) in enumerate(layout.arguments):
        values = []
        for slot in slots:
            if slot.dimensions:
                name = f"p{len(parameters)}"
                parameters.append(name)
                signature.append(_TYPES[slot.kind])
                shape = ", ".join(take("int") for _ in range(slot.dimensions))
                values.append(f"carray({name}, ({shape},))")
            elif slot.kind == "bool":
                values.append(f"{take('int')} != 0")
            else:
                values.append(take(slot.kind))
        if kind is not None:
            names[f"kind{number}"] = kind
        arguments.append(f"kind{number}({', '.join(values)})" if kind else values[0])
    source = f"def wrapper({', '.join(parameters)}):\n    return loop({', '.join(arguments)})\n"
    exec(source, names)
    result = types.int64 if layout.returns == "int" else types.float64
    return names["wrapper"], result(*signature)
