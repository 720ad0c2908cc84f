"""The format of every module of a checkpoint, as its ``quantization_config`` (or ``hf_quant_config.json``) says.

Bits count the scales: 16 bits a group and, where zero points are kept, as many as a weight has. A method, algorithm
or width that is not understood is refused by its name; nothing falls back to a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from optimizer.catalog.huggingface_json import Config
from optimizer.catalog.module import NEVER_QUANTIZED, Module, ModulePart
from optimizer.catalog.module_names import NameList, NameStyle
from optimizer.files.nodes import shown


@dataclass(frozen=True, slots=True)
class Stored:
    """How weights are stored: the family of formats, bits a weight with its share of the scales."""

    format: str  # bf16, fp8, int8, int4, nvfp4, mxfp4
    bits: float
    block: int = 0  # weights in a row that share a scale, where a shard of a layer must hold whole ones


WIDE = Stored("bf16", 16.0)
FP8, FP8_BLOCK, INT8 = Stored("fp8", 8.0), Stored("fp8", 8.0 + 32.0 / 128**2, 128), Stored("int8", 8.0)
NVFP4, MXFP4, MXFP8 = Stored("nvfp4", 4.0 + 8.0 / 16), Stored("mxfp4", 4.0 + 8.0 / 32), Stored("fp8", 8.0 + 8.0 / 32)
NF4_DOUBLE, NF4 = Stored("int4", 4.0 + 8.0 / 64 + 32.0 / (64 * 256)), Stored("int4", 4.0 + 32.0 / 64)

Rule = tuple[NameList, Stored]


@dataclass(frozen=True, slots=True)
class Quantization:
    """What a file says of its weights: the first rule that means a module, else the default."""

    default: Stored = WIDE
    rules: tuple[Rule, ...] = ()
    kv: str = ""  # format of the KV cache that the checkpoint asks for; empty = none
    experts: Stored | None = None  # where the experts have a format of their own
    only_experts: bool = False
    head: bool = False  # the output head too, where no rule names it
    method: str = ""

    def of(self, module: Module) -> Stored:
        """How a module is stored."""
        if module.part in NEVER_QUANTIZED or not module.linear:
            return WIDE
        if module.part is ModulePart.EXPERTS and self.experts is not None:
            return self.experts
        if self.only_experts and module.part is not ModulePart.EXPERTS and module.part is not ModulePart.DENSE:
            return WIDE
        for names, stored in self.rules:
            if names.mean(module):
                return stored
        return WIDE if module.part is ModulePart.HEAD and not self.head else self.default

    def strangers(self, modules: Sequence[Module], layers: int, experts: int) -> Iterator[str]:
        """Names in the rules that mean no module, though they speak of one, or some experts of a layer only."""
        for names, _ in self.rules:
            yield from names.strangers(modules, layers, experts)


def read_quantization(c: Config) -> Quantization:
    """How the weights of a configuration are stored; what is not understood becomes a Finding of the configuration."""
    section = _section(c)
    if not section:
        return _experts_apart(c, Quantization())
    inferred = "modelopt" if "quant_algo" in section else ""
    if section.get("load_in_4bit") is True or section.get("load_in_8bit") is True:
        inferred = "bitsandbytes"  # transformers infers the same
    method = str(section.get("quant_method") or inferred)
    reader = _READERS.get(method.lower().replace("_", "-"))
    if reader is None:
        known = ", ".join(sorted(_READERS))
        c.error(
            "quantization_config", f"quantization_config: quant_method {shown(method)} is not known; known: {known}"
        )
        return Quantization()
    said = _Said(section)
    try:
        found = reader(said)
        unread = [key for key in _EXCLUSIONS if section.get(key) and key not in said.read]
        if unread:
            raise _NotUnderstoodError(f"{unread[0]} is not a key of this method, so what it leaves out is not known")
        return _experts_apart(c, found)
    except _NotUnderstoodError as error:
        c.error("quantization_config", f"quantization_config: {method}: {error}")
        return Quantization()


def _section(c: Config) -> dict[str, object]:
    """What the file, or one that older and other tools write beside it, says of the quantization; empty without."""
    section = dict(c.section("quantization_config") or c.section("compression_config"))
    beside = c.beside("hf_quant_config.json")
    if beside is not None:
        inner = beside.get("quantization")
        if not isinstance(inner, dict):
            c.error("quantization_config", "hf_quant_config.json beside the file has no object `quantization`")
            return {}
        section = {**{key: value for key, value in inner.items() if value is not None}, **section}
        section.setdefault("quant_method", "modelopt")
    if section:
        return section
    for name, method in _SIDE_FILES.items():
        older = c.beside(name)
        if older:
            return {"quant_method": "awq" if "w_bit" in older else method, **older}
    foreign = next((key for key in _FOREIGN_KEYS if c.outer.get(key) or c.data.get(key)), None)
    if foreign is not None:
        c.error(foreign, f"{foreign}: {_FOREIGN_KEYS[foreign]}")
    elif c.beside(_ASCEND_FILE) is not None:
        c.error("model_type", f"{_ASCEND_FILE} beside the file says how the weights are stored, and is not read")
    return section


_SIDE_FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq", "quantization_config.json": ""}
"""Where AutoGPTQ, AutoAWQ and AutoRound stated the format before transformers kept it in config.json."""

_FOREIGN_KEYS = {
    "quantization": "weights in the layout of MLX (or of Mistral's params.json), which the engines here do not load",
    "quantize": "weights quantized for MindIE, whose layout is not read",
}
_ASCEND_FILE = "quant_model_description.json"


_EXCLUSIONS = (
    "ignore", "ignored_layers", "exclude", "exclude_modules", "exclude_layers", "modules_to_not_convert",
    "modules_not_quantized", "modules_in_block_to_quantize", "llm_int8_skip_modules", "skip_modules", "extra_config",
)  # fmt: skip
"""Keys by which one method or another says which modules it does not take, or takes otherwise."""


class _Said(dict[str, object]):
    """A section that remembers which of its keys were read."""

    def __init__(self, section: Mapping[str, object]) -> None:
        super().__init__(section)
        self.read: set[str] = set()

    def get(self, key: str, default: object = None) -> object:
        """The value of a key."""
        self.read.add(key)
        return super().get(key, default)


class _NotUnderstoodError(ValueError):
    """A width, algorithm or layout that is not read; the text names it."""


def _experts_apart(c: Config, found: Quantization) -> Quantization:
    """DeepSeek-V4 states the format of its experts beside the quantization, which speaks of the rest."""
    stated = c.get("expert_dtype")
    if stated in (None, "fp8", "bf16", "bfloat16"):
        return found
    if stated in ("fp4", "mxfp4"):
        return Quantization(found.default, found.rules, found.kv, MXFP4, head=found.head, method=found.method)
    c.error("expert_dtype", f"expert_dtype {shown(stated)} is not known; known: fp4, fp8, bf16")
    return found


def _names(section: Mapping[str, object], *keys: str) -> list[str]:
    found: list[str] = []
    for key in keys:
        value = section.get(key)
        if isinstance(value, list):
            found += [name for name in value if isinstance(name, str)]
    return found


def _kept_wide(section: Mapping[str, object], style: NameStyle, *keys: str) -> tuple[Rule, ...]:
    names = NameList(_names(section, *keys), style)
    return ((names, WIDE),) if names else ()


def _number(value: object, name: str, default: float | None = None) -> float:
    if value is None and default is not None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _NotUnderstoodError(f"{name} {shown(value)} is not a number")
    return float(value)


def _integers(bits: float, group: float, *, zero_points: bool) -> Stored:
    """Integers of 4 or 8 bits in groups (a group of -1 is a whole channel)."""
    if bits not in (4, 8):
        raise _NotUnderstoodError(f"{bits:g}-bit integers are not a format that the engines here compute with")
    extra = (16.0 + (bits if zero_points else 0.0)) / group if group > 0 else 0.0
    return Stored(f"int{bits:.0f}", bits + extra, max(int(group), 0))


def _fp8(section: Mapping[str, object]) -> Quantization:
    """fp8 (block, tensor or channel scales), fbgemm_fp8, ptpc_fp8."""
    layout = section.get("fmt", section.get("store_dtype", "e4m3"))
    if not isinstance(layout, str) or "e5m2" in layout:
        raise _NotUnderstoodError(f"fmt {shown(layout)} is not known; known: e4m3")
    keys = ("modules_to_not_convert", "ignored_layers", "ignore")
    stored = FP8_BLOCK if section.get("weight_block_size") else FP8
    return Quantization(stored, _kept_wide(section, NameStyle.CONTAINS, *keys), method="fp8")


def _mxfp(section: Mapping[str, object]) -> Quantization:
    kept = _kept_wide(section, NameStyle.CONTAINS, "modules_to_not_convert")
    return Quantization(MXFP4, kept, only_experts=True, method="mxfp4")


def _mxfp8(section: Mapping[str, object]) -> Quantization:
    kept = _kept_wide(section, NameStyle.CONTAINS, "modules_to_not_convert", "ignored_layers")
    return Quantization(MXFP8, kept, method="mxfp8")


def _awq(section: Mapping[str, object]) -> Quantization:
    bits = _number(section.get("bits", section.get("w_bit")), "bits")
    group = _number(section.get("group_size", section.get("q_group_size")), "group_size", 128)
    stored = _integers(bits, group, zero_points=section.get("zero_point") is not False)
    return Quantization(stored, _kept_wide(section, NameStyle.PIECES, "modules_to_not_convert"), method="awq")


def _gptq(section: Mapping[str, object]) -> Quantization:
    """GPTQ and GPTQModel. ``dynamic`` is read in its order, the first expression that means a module decides; the
    output head is quantized only where ``lm_head`` says so (vLLM ``quantization/utils/gptq_utils.py``)."""
    bits, group = _number(section.get("bits"), "bits"), _number(section.get("group_size"), "group_size", 128)
    rules = [] if section.get("lm_head") is True else [(NameList(["lm_head"], NameStyle.EXACT), WIDE)]
    rules += _kept_wide(section, NameStyle.CONTAINS, "modules_to_not_convert")
    dynamic = section.get("dynamic")
    for pattern, change in dynamic.items() if isinstance(dynamic, dict) else ():
        names = NameList([f"re:{pattern.removeprefix('-:').removeprefix('+:')}"], NameStyle.EXACT)
        if pattern.startswith("-:"):
            rules.append((names, WIDE))
        elif isinstance(change, dict):
            width, size = _number(change.get("bits"), "bits", bits), _number(change.get("group_size"), "group", group)
            rules.append((names, _integers(width, size, zero_points=True)))
    stored = _integers(bits, group, zero_points=True)
    only = _flat(section.get("modules_in_block_to_quantize"))
    if only:
        head = ["lm_head"] if section.get("lm_head") is True else []
        rules.append((NameList([*only, *head], NameStyle.CONTAINS), stored))
        return Quantization(WIDE, tuple(rules), method="gptq")
    return Quantization(stored, tuple(rules), head=section.get("lm_head") is True, method="gptq")


def _flat(value: object) -> list[str]:
    """The words of a list, or of lists in a list."""
    inner = value if isinstance(value, list) else []
    return [word for each in inner for word in (each if isinstance(each, list) else [each]) if isinstance(word, str)]


def _auto_round(section: Mapping[str, object]) -> Quantization:
    def stored(change: Mapping[str, object]) -> Stored:
        data = str(change.get("data_type", section.get("data_type", "int")))
        bits = _number(change.get("bits", section.get("bits")), "bits")
        group = _number(change.get("group_size", section.get("group_size")), "group_size", 128)
        if bits >= 16:
            return WIDE
        if data.startswith("nv_fp"):
            return NVFP4
        if data.startswith("mx_fp"):
            return MXFP4 if bits == 4 else MXFP8
        if data.startswith(("fp8", "float8", "fp")) and bits == 8:
            return FP8
        if not data.startswith("int"):
            raise _NotUnderstoodError(f"data_type {data!r} is not known; known: int, fp8, nv_fp, mx_fp")
        return _integers(bits, group, zero_points=True)

    rules = list(_kept_wide(section, NameStyle.CONTAINS, "modules_to_not_convert"))
    extra = section.get("extra_config")
    for name, change in extra.items() if isinstance(extra, dict) else ():
        if isinstance(change, dict):
            pattern = f"re:{name}" if any(sign in name for sign in "*\\") else name
            rules.append((NameList([pattern], NameStyle.CONTAINS), stored(change)))
    return Quantization(stored({}), tuple(rules), method="auto-round")


def _bitsandbytes(section: Mapping[str, object]) -> Quantization:
    kept = _kept_wide(section, NameStyle.CONTAINS, "llm_int8_skip_modules", "modules_to_not_convert")
    if section.get("load_in_8bit") is True or section.get("_load_in_8bit") is True:
        return Quantization(INT8, kept, method="bitsandbytes")
    kind = section.get("bnb_4bit_quant_type", "fp4")
    if section.get("load_in_4bit") is not True and section.get("_load_in_4bit") is not True:
        raise _NotUnderstoodError("neither load_in_4bit nor load_in_8bit is true")
    if kind not in ("nf4", "fp4"):
        raise _NotUnderstoodError(f"bnb_4bit_quant_type {shown(kind)} is not known; known: nf4, fp4")
    double = section.get("bnb_4bit_use_double_quant") is True
    return Quantization(NF4_DOUBLE if double else NF4, kept, method="bitsandbytes")


def _compressed_tensors(section: Mapping[str, object]) -> Quantization:
    layout = str(section.get("format", ""))
    sparse = section.get("sparsity_config")
    structure = sparse.get("format") if isinstance(sparse, dict) else None
    if "sparse" in layout or layout == "marlin-24" or structure not in (None, "dense"):
        raise _NotUnderstoodError(f"sparse weights ({structure or layout}) are not modelled")
    groups, cache = section.get("config_groups"), _kv_scheme(section.get("kv_cache_scheme"))
    rules = list(_kept_wide(section, NameStyle.EXACT, "ignore"))
    if groups in ({}, None) and cache:  # only the cache is quantized
        return Quantization(WIDE, (), cache, method="compressed-tensors")
    if not isinstance(groups, dict) or not groups:
        raise _NotUnderstoodError("config_groups is missing, so nothing says how the weights are stored")
    default, linear = WIDE, False
    for group in groups.values():
        if not isinstance(group, dict):
            raise _NotUnderstoodError("a group of config_groups is not an object")
        weights = group.get("weights")
        if weights is None:
            continue
        stored = _scheme(weights, str(group.get("format") or layout))
        targets = _names(group, "targets")
        if any(target in ("Linear", "FusedMoE", "re:.*") for target in targets):
            default, linear = stored, True
        named = [target for target in targets if target not in ("Linear", "FusedMoE", "re:.*")]
        if named:
            rules.append((NameList(named, NameStyle.EXACT), stored))
    return Quantization(default, tuple(rules), cache, head=linear, method="compressed-tensors")


def _scheme(weights: object, layout: str) -> Stored:
    """Weights of a group of compressed-tensors (or of modelopt, which writes the same)."""
    if not isinstance(weights, dict):
        raise _NotUnderstoodError("weights of a group is not an object")
    bits, kind = _number(weights.get("num_bits"), "num_bits"), weights.get("type", "int")
    size = weights.get("group_size")
    group = _number(size, "group_size") if size is not None else -1.0
    if kind == "int":
        return _integers(bits, group, zero_points=weights.get("symmetric") is False)
    if kind != "float":
        raise _NotUnderstoodError(f"weights of type {shown(kind)} are not known; known: int, float")
    if bits == 8:
        if weights.get("strategy") == "block":
            return FP8_BLOCK
        return MXFP8 if group == 32 else FP8
    if bits == 4 and ("mxfp4" in layout or group == 32):
        return MXFP4
    if bits == 4 and ("nvfp4" in layout or group == 16):
        return NVFP4
    raise _NotUnderstoodError(f"{bits:g}-bit floats in groups of {shown(size)} are not known")


def _kv_scheme(scheme: object) -> str:
    if not isinstance(scheme, dict):
        return ""
    bits, kind = scheme.get("num_bits"), scheme.get("type", "int")
    found = {"8 float": "fp8", "8 int": "int8", "4 float": "nvfp4"}.get(f"{bits} {kind}")
    if found is None:
        raise _NotUnderstoodError(f"a KV cache of {shown(bits)}-bit {shown(kind)} is not known")
    return found


_ALGORITHMS = {
    "FP8": FP8,
    "FP8_PER_CHANNEL_PER_TOKEN": FP8,
    "FP8_PB_WO": FP8_BLOCK,
    "FP8_PB_REAL": FP8_BLOCK,
    "FP8_BLOCK_SCALES": FP8_BLOCK,
    "NVFP4": NVFP4,
    "NVFP4_AWQ": NVFP4,
    "W4A16_NVFP4": NVFP4,
    "NVFP4_SVDQUANT": NVFP4,
    "W4A8_NVFP4_FP8": NVFP4,
    "MXFP4": MXFP4,
    "W4A8_MXFP4_FP8": MXFP4,
    "W4A8_MXFP4_MXFP8": MXFP4,
    "W4A16_MXFP4": MXFP4,
    "MXFP8": MXFP8,
    "INT8_SQ": INT8,
    "W8A8_SQ_PER_CHANNEL": INT8,
    "W8A8_SQ_PER_CHANNEL_PER_TENSOR_PLUGIN": INT8,
    "W8A8_SQ_PER_CHANNEL_PER_TOKEN_PLUGIN": INT8,
    "W8A8_SQ_PER_TENSOR_PLUGIN": INT8,
    "W8A8_SQ_PER_TENSOR_PER_TOKEN_PLUGIN": INT8,
    "W8A16": INT8,
    "UNQUANTIZED": WIDE,
}
"""Algorithms of NVIDIA Model Optimizer."""

_ALGORITHMS_INT4 = ("W4A16_AWQ", "W4A8_AWQ", "INT4_AWQ", "W4A16", "W4A16_GPTQ", "W4A8_QSERVE_PER_GROUP")
_MODELOPT_KV = {"FP8": "fp8", "NVFP4": "nvfp4", "INT8": "int8", "": "", "NONE": ""}


def _algorithm(name: object, group: object) -> Stored:
    algorithm = str(name).upper()
    if algorithm in _ALGORITHMS:
        return _ALGORITHMS[algorithm]
    if algorithm in _ALGORITHMS_INT4:
        return _integers(4, _number(group, "group_size", 128), zero_points=False)
    raise _NotUnderstoodError(f"quant_algo {shown(name)} is not known")


_MODELOPT_EXCLUSIONS = ("ignore", "exclude_modules", "ignored_layers", "modules_to_not_convert")


def _modelopt(section: Mapping[str, object]) -> Quantization:
    rules = list(_kept_wide(section, NameStyle.WILDCARD, *_MODELOPT_EXCLUSIONS))
    algorithm, listed = section.get("quant_algo"), section.get("quantized_layers")
    kv = str(section.get("kv_cache_quant_algo") or "").upper()
    if kv not in _MODELOPT_KV:
        raise _NotUnderstoodError(f"kv_cache_quant_algo {kv!r} is not known")
    cache = _MODELOPT_KV[kv] or _kv_scheme(section.get("kv_cache_scheme"))
    if algorithm is None and isinstance(section.get("config_groups"), dict):
        found = _compressed_tensors({**section, "ignore": None})
        return Quantization(found.default, (*rules, *found.rules), cache, method="modelopt")
    if str(algorithm).upper() == "MIXED_PRECISION":
        if not isinstance(listed, dict) or not listed:
            raise _NotUnderstoodError("MIXED_PRECISION without quantized_layers does not say which layer is what")
        by_format: dict[Stored, list[str]] = {}
        for name, change in listed.items():
            details = change if isinstance(change, dict) else {"quant_algo": change}
            stored = _algorithm(details.get("quant_algo"), details.get("group_size"))
            if "embed_tokens" in name and stored is not WIDE:
                raise _NotUnderstoodError(f"embeddings below 16 bit ({name}) are not modelled")
            by_format.setdefault(stored, []).append(name)
        rules += [(NameList(names, NameStyle.WILDCARD), stored) for stored, names in by_format.items()]
        return Quantization(WIDE, tuple(rules), cache, method="modelopt")
    if algorithm is None:
        if cache:  # only the cache is quantized
            return Quantization(WIDE, (), cache, method="modelopt")
        raise _NotUnderstoodError("quant_algo is missing, so nothing says how the weights are stored")
    stored = _algorithm(algorithm, section.get("group_size"))
    return Quantization(stored, tuple(rules), cache, method="modelopt")


_QUARK = {"fp8_e4m3": FP8, "fp8": FP8, "int8": INT8, "fp4": MXFP4, "mxfp4": MXFP4, "mx": MXFP4, "mxfp8": MXFP8}


def _quark_weight(config: object) -> Stored:
    weight = config.get("weight") if isinstance(config, dict) else None
    if isinstance(weight, list):
        stages = [str(stage.get("dtype")) if isinstance(stage, dict) else "" for stage in weight]
        if len(stages) > 1 and stages != ["fp8_e4m3", "int4"]:
            raise _NotUnderstoodError(f"weights quantized in stages ({', '.join(stages)}) are not known")
        weight = weight[-1] if weight else None  # in stages: what the last leaves is stored
    if weight is None:
        return WIDE
    dtype = str(weight.get("dtype", "")) if isinstance(weight, dict) else ""
    if dtype in ("int4", "uint4"):
        size = weight.get("group_size") if isinstance(weight, dict) else None
        channel = isinstance(weight, dict) and weight.get("qscheme") in ("per_channel", "per_tensor")
        return _integers(4, _number(size, "group_size", -1 if channel else 128), zero_points=dtype == "uint4")
    if dtype not in _QUARK:
        raise _NotUnderstoodError(f"weights of dtype {dtype!r} are not known")
    return _QUARK[dtype]


def _quark(section: Mapping[str, object]) -> Quantization:
    whole = section.get("global_quant_config")
    if not isinstance(whole, dict):
        raise _NotUnderstoodError("global_quant_config is missing, so nothing says how the weights are stored")
    if section.get("layer_type_quant_config"):
        raise _NotUnderstoodError("layer_type_quant_config is not read")
    rules = list(_kept_wide(section, NameStyle.WILDCARD, "exclude"))
    cache = ""
    layers = section.get("layer_quant_config")
    for name, config in layers.items() if isinstance(layers, dict) else ():
        output = config.get("output_tensors") if isinstance(config, dict) else None
        if isinstance(output, dict) and "fp8" in str(output.get("dtype", "")):
            cache = "fp8"
        if isinstance(config, dict) and "weight" in config:
            rules.append((NameList([name], NameStyle.WILDCARD), _quark_weight(config)))
    stated = section.get("kv_cache_quant_config")
    cache = "fp8" if isinstance(stated, dict) and stated else cache
    return Quantization(_quark_weight(whole), tuple(rules), cache, method="quark")


_TORCHAO_WORDS = {
    "int8wo": INT8, "int8weightonly": INT8, "int8dynamicactivationint8weight": INT8, "int8dq": INT8,
    "float8weightonly": FP8, "float8dynamicactivationfloat8weight": FP8, "float8wo": FP8, "float8dq": FP8,
    "nvfp4inference": NVFP4, "nvfp4dynamicactivationnvfp4weight": NVFP4,
}  # fmt: skip
_TORCHAO_INT4 = ("int4wo", "int4weightonly", "float8dynamicactivationint4weight")


def _torchao_type(name: str, data: Mapping[str, object]) -> Stored:
    word = name.lower().replace("_", "").removesuffix("config")
    if word in _TORCHAO_WORDS:
        return _TORCHAO_WORDS[word]
    if word in _TORCHAO_INT4:
        return _integers(4, _number(data.get("group_size"), "group_size", 128), zero_points=True)
    raise _NotUnderstoodError(f"quant_type {name!r} is not known")


def _torchao(section: Mapping[str, object]) -> Quantization:
    if section.get("include_input_output_embeddings") is True:
        raise _NotUnderstoodError("embeddings below 16 bit (include_input_output_embeddings) are not modelled")
    rules = list(_kept_wide(section, NameStyle.CONTAINS, "modules_to_not_convert"))
    kind = section.get("quant_type")
    if isinstance(kind, str):
        arguments = section.get("quant_type_kwargs")
        return Quantization(_torchao_type(kind, arguments if isinstance(arguments, dict) else {}), tuple(rules))
    default = kind.get("default") if isinstance(kind, dict) else None
    if not isinstance(default, dict):
        raise _NotUnderstoodError("quant_type does not say how the weights are stored")
    data = default.get("_data")
    details = data if isinstance(data, dict) else {}
    if default.get("_type") in ("ModuleFqnToConfig", "FqnToConfig"):
        by_name = details.get("module_fqn_to_config", details.get("fqn_to_config"))
        stored = WIDE
        for name, config in by_name.items() if isinstance(by_name, dict) else ():
            inner = config.get("_data") if isinstance(config, dict) else None
            found = WIDE
            if isinstance(config, dict):
                found = _torchao_type(str(config.get("_type")), inner if isinstance(inner, dict) else {})
            if "embed_tokens" in name and found is not WIDE:
                raise _NotUnderstoodError(f"embeddings below 16 bit ({name}) are not modelled")
            if name == "_default":
                stored = found
            else:
                rules.append((NameList([name], NameStyle.CONTAINS), found))
        return Quantization(stored, tuple(rules), method="torchao")
    return Quantization(_torchao_type(str(default.get("_type")), details), tuple(rules), method="torchao")


def _hqq(section: Mapping[str, object]) -> Quantization:
    config = section.get("quant_config")
    whole = config if isinstance(config, dict) else section
    weights = whole.get("weight_quant_params")
    if not isinstance(weights, dict):
        raise _NotUnderstoodError("quant_config.weight_quant_params is missing")
    bits, group = _number(weights.get("nbits"), "nbits"), _number(weights.get("group_size"), "group_size", 64)
    if bits not in (4, 8):
        raise _NotUnderstoodError(f"{bits:g}-bit integers are not a format that the engines here compute with")
    stored = Stored(f"int{bits:.0f}", bits + 32.0 / group)  # scale and zero point of 16 bits each
    return Quantization(stored, _kept_wide(section, NameStyle.CONTAINS, "skip_modules"), method="hqq")


def _eetq(section: Mapping[str, object]) -> Quantization:
    return Quantization(INT8, _kept_wide(section, NameStyle.CONTAINS, "modules_to_not_convert"), method="eetq")


_READERS = {
    "fp8": _fp8,
    "fbgemm-fp8": _fp8,
    "ptpc-fp8": _fp8,
    "mxfp4": _mxfp,
    "gpt-oss-mxfp4": _mxfp,
    "mxfp8": _mxfp8,
    "awq": _awq,
    "awq-marlin": _awq,
    "gptq": _gptq,
    "gptq-marlin": _gptq,
    "moe-wna16": _gptq,
    "auto-round": _auto_round,
    "intel/auto-round": _auto_round,
    "inc": _auto_round,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
    "modelopt-fp4": _modelopt,
    "modelopt-mixed": _modelopt,
    "quark": _quark,
    "torchao": _torchao,
    "hqq": _hqq,
    "eetq": _eetq,
}
