"""Event loops as object code: made once, when the package is built, and loaded without a compiler.

A loop is plain arithmetic on arrays, in functions marked with :func:`kernel`; what Python calls is marked with
:func:`entry`. ``write_object_code`` turns each entry and the kernels it uses into an object file for a generic
processor, so that every machine of a kind computes the same bytes. The file is looked for beside this module, where the
build hook put it, then in the caches of the user; where there is none it is compiled there by numba, which takes some
seconds once. Without numba the same source runs interpreted. File names carry a digest of every source that takes part.

Loaded code runs without the interpreter's lock: loops of several threads run side by side.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_HERE = Path(__file__).resolve().parent
_LOOPS = ("admission", "compiled", "engine_step", "fleet_loop", "loop", "people_loop", "session_loop")
SOURCES = (_HERE.parent / "performance" / "step.py", *(_HERE / f"{name}.py" for name in _LOOPS))
"""Every file that has a part in object code."""

_APP = "llm-deployment-optimizer"

BUILT = _HERE / "_loops"
"""Where the build hook puts object files."""

KERNELS: list[Callable[..., Any]] = []
"""Every function that is compiled into an entry."""

_UNUSED = (
    "NRT_Free", "NRT_MemInfo_call_dtor", "numba_do_raise", "numba_gil_ensure", "numba_gil_release",
    "numba_runtime_build_excinfo_struct", "numba_unpickle",
)  # fmt: skip
"""What object code refers to and never calls: no loop raises or allocates."""


def kernel(function: F) -> F:
    """Mark a function that loops are made of. It stays callable as it is."""
    KERNELS.append(function)
    return function


class CompiledLoop(Generic[P, R]):
    """A loop that Python calls, with arguments by position; compiled where that can be had."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.interpreted: Callable[P, R] = function
        self.name = function.__name__
        self._lock = threading.Lock()
        self._code: _Code | None = None
        self._searched = False
        wraps(function)(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        code = self.code()
        if code is None:
            return self.interpreted(*args, **kwargs)
        found: R = code(args)
        return found

    def code(self) -> _Code | None:
        """The loaded object code; compiled first where there is none. None: it runs interpreted."""
        with self._lock:
            if not self._searched:
                self._code = self._load() or (self._load() if self._compile() else None)
                self._searched = True
        return self._code

    def _load(self) -> _Code | None:
        for folder in folders():
            try:
                code = unsealed((folder / file_name(self.name)).read_bytes())
            except OSError:
                continue
            address = _link(code, symbol_of(self.name)) if code else 0
            if address:
                return _Code(layout_of(self.interpreted), address)
        return None

    def _compile(self) -> bool:
        """Compile into the first folder of the user's that can be written; whether that worked."""
        try:
            import_compiler()
        except ImportError:  # no numba
            return False
        return any(write_object_code(self, folder) for folder in list(folders())[1:])


def entry(function: Callable[P, R]) -> CompiledLoop[P, R]:
    """Mark a loop that Python calls, with arguments by position."""
    return CompiledLoop(kernel(function))


@dataclass(frozen=True, slots=True)
class FlatArguments:
    """The arguments of an entry, flattened: scalars and shapes in two buffers, arrays by address."""

    floats: Any
    ints: Any
    pointers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArgumentSlot:
    """One scalar or array of an entry's arguments: its kind, and for arrays how many dimensions it has."""

    kind: str  # float, int, bool, floats, ints
    dimensions: int = 0


@dataclass(frozen=True, slots=True)
class EntryLayout:
    """What an entry takes: per argument either one slot or a named tuple of slots."""

    arguments: tuple[tuple[type | None, tuple[ArgumentSlot, ...]], ...]
    returns: str  # float or int

    def pack(self, args: tuple[Any, ...]) -> FlatArguments:
        """Flatten arguments. Arrays must be contiguous and of the slot's type: they are written through."""
        floats: list[float] = []
        ints: list[int] = []
        pointers: list[int] = []
        for (kind, slots), value in zip(self.arguments, args, strict=True):
            for slot, one in zip(slots, value if kind else (value,), strict=True):
                if slot.dimensions:
                    pointers.append(_address(one, slot))
                    ints.extend(one.shape)
                elif slot.kind == "float":
                    floats.append(one)
                else:
                    ints.append(int(one))
        return FlatArguments(np.array(floats, np.float64), np.array(ints, np.int64), tuple(pointers))


def _address(array: Any, slot: ArgumentSlot) -> int:
    wanted = np.float64 if slot.kind == "floats" else np.int64
    if array.dtype != wanted or array.ndim != slot.dimensions or not array.flags.c_contiguous:
        raise TypeError(f"a loop needs contiguous {slot.kind} in {slot.dimensions} dimensions, not {array.dtype}")
    address: int = array.__array_interface__["data"][0]
    return address


@cache
def layout_of(function: Callable[..., Any]) -> EntryLayout:
    """The layout that a function's annotations state: numbers, arrays, and named tuples of these."""
    hints = get_type_hints(function, include_extras=True)
    returns = hints.pop("return")
    arguments: list[tuple[type | None, tuple[ArgumentSlot, ...]]] = []
    for hint in hints.values():
        if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
            fields = get_type_hints(hint, include_extras=True)
            arguments.append((hint, tuple(_slot(fields[name]) for name in hint._fields)))
        else:
            arguments.append((None, (_slot(hint),)))
    return EntryLayout(tuple(arguments), "int" if returns is int else "float")


def _slot(hint: Any) -> ArgumentSlot:
    """``Annotated[Ints, 2]`` is a table; a union with float (step coefficients) is a number in loops."""
    if hint in (int, float, bool):
        return ArgumentSlot(hint.__name__)
    dimensions = getattr(hint, "__metadata__", (1,))[0]
    text = str(getattr(hint, "__origin__", hint)) + str(hint)
    if "float64" in text and "| float" in text:
        return ArgumentSlot("float")
    return ArgumentSlot("floats" if "float64" in text else "ints", int(dimensions))


def is_compiled(name: str) -> bool:
    """Whether object code of an entry of that name is on disk: False says that the next run compiles first."""
    return any((folder / file_name(name)).is_file() for folder in folders())


def file_name(name: str) -> str:
    """The object file of an entry for this kind of machine and these sources."""
    return f"{name}-{sys.platform}-{platform.machine().lower()}-{_digest()}.o"


def folders() -> Iterator[Path]:
    """Where object files are looked for: what was built with the package, then the caches."""
    yield BUILT
    yield _HERE / "__pycache__"
    if "XDG_CACHE_HOME" in os.environ:
        yield Path(os.environ["XDG_CACHE_HOME"]) / _APP
    if sys.platform == "win32" and "LOCALAPPDATA" in os.environ:
        yield Path(os.environ["LOCALAPPDATA"]) / _APP
    try:
        yield Path.home() / ".cache" / _APP
    except RuntimeError:  # no home directory is known
        return


@cache
def _digest() -> str:
    found = hashlib.sha256()
    for source in SOURCES:
        found.update(source.read_bytes())
    return found.hexdigest()[:12]


def sealed(code: bytes) -> bytes:
    """Object code behind its digest: the linker ends the process on a damaged file."""
    return hashlib.sha256(code).digest() + code


def unsealed(data: bytes) -> bytes:
    """The object code of a file; empty where it is damaged."""
    seal, code = data[:32], data[32:]
    return code if hashlib.sha256(code).digest() == seal else b""


def symbol_of(name: str) -> str:
    """What the entry is called in its object file."""
    return f"optimizer_loop_{name}"


_ENGINES: list[Any] = []
"""Loaded code lives as long as the engine that holds it."""


def _link(code: bytes, symbol: str) -> int:
    """Load object code into this process; 0 where that fails."""
    try:
        import llvmlite.binding as llvm
    except ImportError:
        return 0
    nothing = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value
    try:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        for name in _UNUSED:
            llvm.add_symbol(name, nothing)
        module = llvm.parse_assembly(f'target triple = "{llvm.get_process_triple()}"')
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        address: int = engine.get_function_address(symbol)
    except (RuntimeError, OSError):
        return 0
    _ENGINES.append(engine)
    return address


class _Code:
    """Loaded code of one entry."""

    def __init__(self, layout: EntryLayout, address: int) -> None:
        self._layout = layout
        arrays = sum(1 for _, slots in layout.arguments for slot in slots if slot.dimensions)
        result = ctypes.c_int64 if layout.returns == "int" else ctypes.c_double
        self._call = ctypes.CFUNCTYPE(result, *([ctypes.c_void_p] * (2 + arrays)))(address)

    def __call__(self, args: tuple[Any, ...]) -> Any:
        packed = self._layout.pack(args)
        return self._call(packed.floats.ctypes.data, packed.ints.ctypes.data, *packed.pointers)


def import_compiler() -> None:
    """Import numba, set to a generic processor of this kind, without the extensions of the machine at hand."""
    os.environ.setdefault("NUMBA_CPU_NAME", "generic")
    os.environ.setdefault("NUMBA_CPU_FEATURES", "")
    import numba  # noqa: F401


_GENERIC = {"x86_64": "x86-64", "amd64": "x86-64"}
"""Names of the oldest processor of a kind, where LLVM does not call it generic."""


def write_object_code(entry: CompiledLoop[Any, Any], folder: Path) -> bool:
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


def object_code(entry: CompiledLoop[Any, Any]) -> bytes:
    """The object file of one entry, with its symbol named as the loader looks for it."""
    import llvmlite.binding as llvm
    import numba

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
def _dispatcher(function: Callable[..., Any]) -> Any:
    """The compiled form of a kernel; entries share it."""
    import numba

    return numba.njit(error_model="numpy", forceinline=True)(function)


@contextmanager
def _kernels_compiled() -> Iterator[dict[Callable[..., Any], Any]]:
    """Every global of the loops' modules that is a kernel stands for its compiled form meanwhile."""
    compiled = {function: _dispatcher(function) for function in KERNELS}
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    for module in sorted({kernel.__module__ for kernel in KERNELS}):
        names = vars(sys.modules[module])
        for name, value in list(names.items()):
            plain = value.interpreted if isinstance(value, CompiledLoop) else value
            if isinstance(plain, FunctionType) and plain in compiled:
                replaced.append((names, name, value))
                names[name] = compiled[plain]
    try:
        yield compiled
    finally:
        for names, name, value in replaced:
            names[name] = value


def _wrapper(layout: EntryLayout, loop: Any) -> tuple[Callable[..., Any], Any]:
    """A function of flat buffers that calls the loop, and its signature."""
    import numba

    types: Any = numba.types
    pointers = {"floats": types.CPointer(types.float64), "ints": types.CPointer(types.int64)}
    parameters, arguments = ["floats", "ints"], []
    signature = [pointers["floats"], pointers["ints"]]
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
                signature.append(pointers[slot.kind])
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
