"""Hugging Face architecture families: how each writes its dimensions and what its layers hold.

Key names and defaults are those of the ``configuration_*.py`` of each family in Hugging Face transformers, or of the
configuration that its publisher ships. ``plain`` families are read by the standard keys alone: nobody counted their
layers against a published total, so what is said of them is of grade C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto


class ExpertKeys(Enum):
    """How a family writes its experts."""

    NONE = auto()
    KEYS = auto()  # whatever expert keys the file has; dense where it has none
    MIXTRAL = auto()  # num_local_experts, intermediate_size is the expert's
    QWEN = auto()  # num_experts, moe_intermediate_size, shared_expert_intermediate_size
    DEEPSEEK = auto()  # n_routed_experts, moe_intermediate_size, n_shared_experts, first_k_dense_replace
    LLAMA4 = auto()  # num_local_experts in every interleave_moe_layer_step-th layer, one shared expert
    ERNIE = auto()  # moe_num_experts, moe_k, moe_num_shared_experts, moe_layer_start_index


class SlidingLayers(Enum):
    """Which layers slide, where the config does not list its ``layer_types``."""

    NONE = auto()
    ALL = auto()  # every layer, when sliding_window is below the context
    ALTERNATE = auto()  # every other layer
    PATTERN = auto()  # all but every sliding_window_pattern-th layer
    UPPER = auto()  # layers from max_window_layers on, when use_sliding_window says so
    CHUNKED = auto()  # all but every fourth layer attend inside attention_chunk_size


class Mixing(Enum):
    """What the layers without attention do instead."""

    NONE = auto()
    DELTA_NET = auto()  # gated delta rule (Qwen3-Next)
    KIMI_DELTA = auto()  # Kimi delta attention
    MAMBA = auto()  # selective state space, first form (Jamba)
    MAMBA2 = auto()  # second form (Nemotron-H, Granite 4, Bamba, Falcon-H1)
    LIGHTNING = auto()  # linear attention of MiniMax-Text-01
    CONVOLUTION = auto()  # gated short convolution (LFM2)


@dataclass(frozen=True, slots=True)
class Family:
    """What one ``model_type`` means."""

    name: str
    experts: ExpertKeys = ExpertKeys.NONE
    window: SlidingLayers = SlidingLayers.NONE
    latent: bool = False  # multi-head latent attention
    mixing: Mixing = Mixing.NONE
    gated_mlp: bool = True
    gated_attention: bool = False  # the query projection is doubled by an output gate
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    sinks: bool = False
    qk_norm: bool = False
    indexer: bool = False  # sparse-attention index (DSA)
    tied: bool = False  # where the config does not say
    fused_mlp_halves: bool = False  # intermediate_size counts both halves of a gated MLP
    multi_query: bool = False  # one KV head where multi_query says so or is left out
    dense_beside_experts: bool = False  # a dense MLP runs in every layer that has experts
    positions: bool = False  # learnt position embeddings
    plain: bool = False  # read by the standard keys, grade C
    defaults: Mapping[str, object] = field(default_factory=dict)

    @property
    def delta_net(self) -> bool:
        """Whether gated delta-net layers stand between those of full attention."""
        return self.mixing is Mixing.DELTA_NET


_DEEPSEEK = Family("DeepSeek-V3", experts=ExpertKeys.DEEPSEEK, latent=True)
_QWEN_NEXT = Family("Qwen3-Next", experts=ExpertKeys.QWEN, mixing=Mixing.DELTA_NET, gated_attention=True, qk_norm=True)
_GEMMA3_DEFAULTS: Mapping[str, object] = {
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "vocab_size": 262208,
    "max_position_embeddings": 131072,
    "sliding_window_pattern": 6,
}
_CLASSIC_DEFAULTS: Mapping[str, object] = {"max_position_embeddings": 2048, "expansion_ratio": 4}
_OLD = Family("classic", gated_mlp=False, qkv_bias=True, out_bias=True, mlp_bias=True, defaults=_CLASSIC_DEFAULTS)
_GPT2 = replace(_OLD, name="GPT-2", tied=True, positions=True, defaults={"max_position_embeddings": 1024})

FAMILIES: Mapping[str, Family] = {
    "baichuan": Family("Baichuan"),
    "bloom": replace(_OLD, name="BLOOM", tied=True),
    "cohere": Family("Command-R", tied=True),
    "cohere2": Family("Command-A", window=SlidingLayers.PATTERN, tied=True, defaults={"sliding_window_pattern": 4}),
    "dbrx": Family("DBRX", experts=ExpertKeys.MIXTRAL),
    "deepseek_v2": replace(_DEEPSEEK, name="DeepSeek-V2"),
    "deepseek_v3": _DEEPSEEK,
    "deepseek_v32": replace(_DEEPSEEK, name="DeepSeek-V3.2", indexer=True),
    "deepseek_v4": Family("DeepSeek-V4", experts=ExpertKeys.DEEPSEEK),
    "ernie4_5_moe": Family("ERNIE-4.5", experts=ExpertKeys.ERNIE, tied=True),
    "falcon": Family("Falcon", gated_mlp=False, tied=True, multi_query=True, defaults=_CLASSIC_DEFAULTS),
    "gemma": Family("Gemma", tied=True),
    "gemma2": Family("Gemma-2", window=SlidingLayers.ALTERNATE, tied=True),
    "gemma3_text": Family("Gemma-3", window=SlidingLayers.PATTERN, tied=True, qk_norm=True, defaults=_GEMMA3_DEFAULTS),
    "gemma4_text": Family(
        "Gemma-4",
        experts=ExpertKeys.KEYS,
        window=SlidingLayers.PATTERN,
        tied=True,
        qk_norm=True,
        dense_beside_experts=True,
    ),
    "glm": Family("GLM-4", qkv_bias=True),
    "glm4": Family("GLM-4"),
    "glm4_moe": Family("GLM-4.5", experts=ExpertKeys.DEEPSEEK, qkv_bias=True),
    "glm4_moe_lite": replace(_DEEPSEEK, name="GLM-4.7"),
    "glm_moe_dsa": replace(_DEEPSEEK, name="GLM-5", indexer=True),
    "gpt_neox": replace(_OLD, name="GPT-NeoX", defaults={}),
    "gpt_oss": Family(
        "gpt-oss",
        experts=ExpertKeys.MIXTRAL,
        window=SlidingLayers.ALTERNATE,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        sinks=True,
    ),
    "gptj": Family("GPT-J", gated_mlp=False, mlp_bias=True, defaults=_CLASSIC_DEFAULTS),
    "granite": Family("Granite", tied=True),
    "internlm2": Family("InternLM2"),
    "internlm3": Family("InternLM3"),
    "kimi_k2": replace(_DEEPSEEK, name="Kimi-K2"),
    "kimi_linear": Family("Kimi-Linear", experts=ExpertKeys.KEYS, latent=True, mixing=Mixing.KIMI_DELTA),
    "llama": Family("Llama"),
    "llama4_text": Family("Llama-4", experts=ExpertKeys.LLAMA4, window=SlidingLayers.CHUNKED),
    "mimo": Family("MiMo", qkv_bias=True, window=SlidingLayers.UPPER),
    "mimo_v2_flash": Family("MiMo-V2", experts=ExpertKeys.DEEPSEEK, window=SlidingLayers.PATTERN),
    "minimax_m2": Family("MiniMax-M2", experts=ExpertKeys.MIXTRAL),
    "minimax_m3": Family("MiniMax-M3", experts=ExpertKeys.KEYS, qk_norm=True),
    "ministral3": Family("Ministral-3", window=SlidingLayers.ALL),
    "mistral": Family("Mistral", window=SlidingLayers.ALL),
    "mixtral": Family("Mixtral", experts=ExpertKeys.MIXTRAL, window=SlidingLayers.ALL),
    "mpt": Family("MPT", gated_mlp=False, tied=True, defaults=_CLASSIC_DEFAULTS),
    "nemotron-nas": Family("Nemotron"),
    "nemotron_h": Family("Nemotron-H", experts=ExpertKeys.KEYS, mixing=Mixing.MAMBA2, gated_mlp=False),
    "phi3": Family("Phi-3", window=SlidingLayers.ALL),
    "phimoe": Family("Phi-3.5", experts=ExpertKeys.MIXTRAL, qkv_bias=True, out_bias=True, window=SlidingLayers.ALL),
    "qwen": Family("Qwen", qkv_bias=True, fused_mlp_halves=True),
    "qwen2": Family("Qwen2", qkv_bias=True, window=SlidingLayers.UPPER),
    "qwen2_moe": Family("Qwen2", experts=ExpertKeys.QWEN, qkv_bias=True, window=SlidingLayers.UPPER),
    "qwen3": Family("Qwen3", qk_norm=True, window=SlidingLayers.UPPER),
    "qwen3_5_moe_text": replace(_QWEN_NEXT, name="Qwen3.5"),
    "qwen3_5_text": Family("Qwen3.5", mixing=Mixing.DELTA_NET, gated_attention=True, qk_norm=True),
    "qwen3_moe": Family("Qwen3", experts=ExpertKeys.QWEN, qk_norm=True, window=SlidingLayers.UPPER),
    "qwen3_next": _QWEN_NEXT,
    "qwen3_vl_moe_text": Family("Qwen3-VL", experts=ExpertKeys.QWEN, qk_norm=True),
    "qwen3_vl_text": Family("Qwen3-VL", qk_norm=True, tied=True),
    "seed_oss": Family("Seed-OSS", qkv_bias=True),
    "step3p7": Family("Step-3.7", experts=ExpertKeys.KEYS, window=SlidingLayers.ALL),
}
"""Families whose counts agree with a published total."""

_MOE = ExpertKeys.KEYS


def _plain(name: str, **traits: object) -> Family:
    return replace(Family(name, plain=True), **traits)  # type: ignore[arg-type]


PLAIN: Mapping[str, Family] = {
    "AXK1": _plain("A.X-K1", experts=_MOE, latent=True),
    "afmoe": _plain("Trinity", experts=_MOE, window=SlidingLayers.PATTERN, gated_attention=True),
    "apertus": _plain("Apertus", gated_mlp=False),
    "aquila": _plain("Aquila"),
    "arcee": _plain("Arcee", gated_mlp=False),
    "arctic": _plain("Arctic", experts=ExpertKeys.MIXTRAL),
    "aria_text": _plain("Aria", experts=_MOE),
    "baichuan_m1": _plain("Baichuan-M1"),
    "bailing_moe": _plain("Ling", experts=_MOE),
    "bailing_moe_v2": _plain("Ling-2", experts=_MOE, qk_norm=True),
    "bamba": _plain("Bamba", mixing=Mixing.MAMBA2),
    "biogpt": replace(_GPT2, name="BioGPT", plain=True),
    "bitnet": _plain("BitNet", tied=True),
    "chatglm": _plain("ChatGLM", qkv_bias=True),
    "codegen": replace(_OLD, name="CodeGen", plain=True),
    "deepseek": _plain("DeepSeek-MoE", experts=ExpertKeys.DEEPSEEK),
    "diffllama": _plain("DiffLlama"),
    "dots1": _plain("dots.llm1", experts=ExpertKeys.DEEPSEEK, qk_norm=True),
    "ernie4_5": _plain("ERNIE-4.5", tied=True),
    "exaone": _plain("EXAONE"),
    "exaone4": _plain("EXAONE-4", window=SlidingLayers.PATTERN, qk_norm=True),
    "exaone_moe": _plain("K-EXAONE", experts=_MOE, window=SlidingLayers.PATTERN, qk_norm=True),
    "falcon_h1": _plain("Falcon-H1", mixing=Mixing.MAMBA2),
    "flex_olmo": _plain("FlexOlmo", experts=ExpertKeys.MIXTRAL, qk_norm=True),
    "glm4v_text": _plain("GLM-4V", qkv_bias=True),
    "glm4v_moe_text": _plain("GLM-4.5V", experts=ExpertKeys.DEEPSEEK, qkv_bias=True),
    "gpt2": replace(_GPT2, plain=True),
    "gpt_bigcode": replace(_GPT2, name="StarCoder", multi_query=True, plain=True),
    "gpt_neo": replace(_GPT2, name="GPT-Neo", plain=True),
    "gpt_neox_japanese": replace(_OLD, name="GPT-NeoX-Japanese", plain=True),
    "granitemoe": _plain("Granite MoE", experts=ExpertKeys.MIXTRAL, tied=True),
    "granitemoehybrid": _plain(
        "Granite-4", experts=ExpertKeys.MIXTRAL, mixing=Mixing.MAMBA2, tied=True, dense_beside_experts=True
    ),
    "granitemoeshared": _plain("Granite MoE", experts=ExpertKeys.MIXTRAL, tied=True, dense_beside_experts=True),
    "grok-1": _plain("Grok-1", experts=ExpertKeys.MIXTRAL, tied=True),
    "helium": _plain("Helium"),
    "hunyuan_v1_dense": _plain("Hunyuan", qk_norm=True, tied=True),
    "hunyuan_v1_moe": _plain("Hunyuan MoE", experts=_MOE, qk_norm=True, tied=True),
    "internlm": _plain("InternLM", qkv_bias=True, out_bias=True),
    "jais": replace(_GPT2, name="Jais", gated_mlp=True, plain=True),
    "jais2": _plain("Jais-2", gated_mlp=False),
    "jamba": _plain("Jamba", experts=ExpertKeys.MIXTRAL, mixing=Mixing.MAMBA),
    "jetmoe_dense": _plain("JetMoE"),
    "lfm2": _plain("LFM2", mixing=Mixing.CONVOLUTION, tied=True),
    "lfm2_moe": _plain("LFM2 MoE", experts=_MOE, mixing=Mixing.CONVOLUTION, tied=True),
    "mimo_v2": _plain("MiMo-V2", experts=_MOE, window=SlidingLayers.PATTERN),
    "minicpm": _plain("MiniCPM", tied=True),
    "minicpm3": _plain("MiniCPM3", latent=True, tied=True),
    "minimax": _plain("MiniMax-Text-01", experts=ExpertKeys.MIXTRAL, mixing=Mixing.LIGHTNING),
    "minimax_m1": _plain("MiniMax-M1", experts=ExpertKeys.MIXTRAL, mixing=Mixing.LIGHTNING),
    "minimax_text_01": _plain("MiniMax-Text-01", experts=ExpertKeys.MIXTRAL, mixing=Mixing.LIGHTNING),
    "ministral": _plain("Ministral", window=SlidingLayers.ALL),
    "mistral4": _plain("Mistral-4", experts=_MOE, latent=True),
    "nanochat": _plain("nanochat", gated_mlp=False),
    "nemotron": _plain("Nemotron-4", gated_mlp=False),
    "olmo": _plain("OLMo"),
    "olmo2": _plain("OLMo-2", qk_norm=True),
    "olmo3": _plain("OLMo-3", qk_norm=True, window=SlidingLayers.PATTERN, defaults={"sliding_window_pattern": 4}),
    "olmoe": _plain("OLMoE", experts=ExpertKeys.MIXTRAL, qk_norm=True),
    "opt": replace(_OLD, name="OPT", tied=True, positions=True, plain=True),
    "orion": _plain("Orion"),
    "ouro": _plain("Ouro"),
    "pangu_moe": _plain("Pangu Pro", experts=_MOE),
    "pangu_ultra_moe": _plain("openPangu Ultra", experts=ExpertKeys.DEEPSEEK, latent=True),
    "persimmon": replace(_OLD, name="Persimmon", plain=True),
    "phi": replace(_OLD, name="Phi-2", plain=True),
    "phi4_multimodal": _plain("Phi-4-multimodal", window=SlidingLayers.ALL, tied=True),
    "phi4mm": _plain("Phi-4-multimodal", window=SlidingLayers.ALL, tied=True),
    "qwen2_5_vl_text": _plain("Qwen2.5-VL", qkv_bias=True, window=SlidingLayers.UPPER),
    "qwen2_vl_text": _plain("Qwen2-VL", qkv_bias=True, window=SlidingLayers.UPPER),
    "qwen2_5_omni_text": _plain("Qwen2.5-Omni", qkv_bias=True, window=SlidingLayers.UPPER),
    "qwen3_omni_moe_text": _plain("Qwen3-Omni", experts=ExpertKeys.QWEN, qk_norm=True),
    "skywork_moe": _plain("Skywork MoE", experts=_MOE),
    "smallthinker": _plain("SmallThinker", experts=_MOE),
    "smollm3": _plain("SmolLM3", tied=True),
    "solar": _plain("Solar"),
    "solar_open": _plain("Solar-Open", experts=ExpertKeys.DEEPSEEK),
    "stablelm": _plain("StableLM"),
    "starcoder2": _plain(
        "StarCoder2", gated_mlp=False, qkv_bias=True, out_bias=True, mlp_bias=True, window=SlidingLayers.ALL, tied=True
    ),
    "step1": _plain("Step-1"),
    "step3p5": _plain("Step-3.5", experts=_MOE, window=SlidingLayers.ALL),
    "teleflm": _plain("TeleFLM"),
    "telechat": _plain("TeleChat"),
    "telechat2": _plain("TeleChat2"),
    "telechat3": _plain("TeleChat3"),
    "vaultgemma": _plain("VaultGemma", window=SlidingLayers.ALTERNATE, tied=True),
    "xgen": _plain("XGen"),
    "xverse": _plain("XVERSE"),
    "yi": _plain("Yi"),
    "youtu": _plain("Youtu", latent=True),
    "youtu_llm": _plain("Youtu", latent=True),
}
"""Families read by the standard keys: grade C, checked against an index of the weights where one lies beside."""

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        ("bart", "bigbird_pegasus", "blenderbot", "led", "m2m_100", "marian", "mbart", "mt5", "mvp", "nllb-moe",
         "pegasus", "pegasus_x", "plbart", "prophetnet", "seamless_m4t", "seamless_m4t_v2", "switch_transformers",
         "t5", "t5gemma", "t5gemma2", "umt5", "longt5", "florence2", "donut", "pix2struct", "fsmt"),
        "it is an encoder-decoder, which keeps a cache of another kind",
    ),
    **dict.fromkeys(
        ("albert", "bert", "camembert", "canine", "convbert", "deberta", "deberta-v2", "distilbert", "electra",
         "ernie", "flaubert", "gte", "longformer", "modernbert", "mpnet", "new", "nomic_bert", "roberta", "roformer",
         "xlm-roberta", "xlnet", "colbert", "eurobert", "splinter", "layoutlm", "layoutlmv3"),
        "it is an encoder and generates no text",
    ),
    **dict.fromkeys(
        ("clip", "siglip", "siglip2", "vit", "dinov2", "dinov3_vit", "swin", "convnext", "sam", "resnet", "detr",
         "whisper", "wav2vec2", "hubert", "encodec", "musicgen", "bark", "vits", "speecht5", "unet", "qwen3_asr",
         "parakeet_ctc", "kokoro"),
        "it reads or makes images or sound and generates no text",
    ),
    **dict.fromkeys(
        ("mamba", "mamba2", "falcon_mamba", "rwkv", "rwkv5", "rwkv6", "rwkv7", "xlstm", "retnet"),
        "it has no attention layer, so it keeps no KV cache at all, and its state is not modelled",
    ),
    **dict.fromkeys(
        ("zamba", "zamba2"), "its attention blocks share their weights between layers, which is not modelled"
    ),
    **dict.fromkeys(
        ("recurrent_gemma", "phi4flash", "plamo2", "plamo3", "hymba", "samba", "bailing_moe_linear",
         "bailing_moe_v2_5", "bailing_hybrid", "jet_nemotron", "stripedhyena"),
        "the recurrent layers of this hybrid are not modelled",
    ),
    **dict.fromkeys(
        ("gemma3n", "gemma3n_text"), "its alternating-update layers and per-layer embeddings are not modelled"
    ),
    **dict.fromkeys(
        ("mllama", "mllama_text_model", "nvlm_d", "cogvlm", "cogvlm2", "flamingo", "idefics"),
        "its cross-attention or expert layers for images are not modelled",
    ),
    **dict.fromkeys(
        ("longcat_flash", "longcat"), "its two attention blocks a layer and its empty experts are not modelled"
    ),
    **dict.fromkeys(("hunyuan",), "its layers share KV caches across layers (cla_share_factor), which is not modelled"),
    **dict.fromkeys(("openelm",), "its widths differ from layer to layer in a way that its keys do not list"),
    **dict.fromkeys(("jetmoe",), "its attention is a mixture of experts too, which is not modelled"),
    **dict.fromkeys(
        ("llada", "dream", "sdar", "diffusion_gemma", "llada2_moe"), "it generates by diffusion, not token by token"
    ),
}  # fmt: skip
"""Types that are named and refused, with the reason."""

WRAPPERS: Mapping[str, str] = {
    "aria": "aria_text",
    "aya_vision": "cohere2",
    "cohere2_vision": "cohere2",
    "deepseek_vl_v2": "deepseek_v2",
    "ernie4_5_moe_vl": "ernie4_5_moe",
    "ernie4_5_vl_moe": "ernie4_5_moe",
    "fuyu": "persimmon",
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "glm4v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "glm_ocr": "glm4v_text",
    "got_ocr2": "qwen2",
    "granite_speech": "granite",
    "idefics2": "mistral",
    "idefics3": "llama",
    "internvl": "qwen2",
    "internvl_chat": "internlm2",
    "keye": "qwen3",
    "kimi_k25": "kimi_k2",
    "kimi_k3": "kimi_linear",
    "kimi_vl": "deepseek_v3",
    "lfm2_vl": "lfm2",
    "llama4": "llama4_text",
    "llava": "llama",
    "llava_next": "llama",
    "llava_next_video": "llama",
    "llava_onevision": "qwen2",
    "minicpmo": "qwen2",
    "minicpmv": "qwen2",
    "mistral3": "mistral",
    "ovis": "qwen2",
    "ovis2": "qwen2",
    "paligemma": "gemma",
    "phi3_v": "phi3",
    "pixtral": "mistral",
    "qwen2_5_omni": "qwen2_5_omni_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen2_audio": "qwen2",
    "qwen2_vl": "qwen2_vl_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_omni_moe": "qwen3_omni_moe_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "skywork_r1v": "qwen2",
    "smolvlm": "llama",
    "step3_vl": "step3_text",
    "ultravox": "llama",
    "video_llava": "llama",
    "vipllava": "llama",
    "voxtral": "llama",
}
"""Models with an encoder for images or sound: the language model is described in ``text_config`` (or as
``INNER_KEYS`` say); the value is its ``model_type`` where the file does not say."""

SAME_AS: Mapping[str, str] = {
    "deepseek_ref": "deepseek_v4",
    "deepseek_vl": "llama",
    "InternLMXComposer2": "internlm2",
    "exaone4_5_text": "exaone4",
    "glm4v_vision_text": "glm4v_text",
    "hunyuan_dense": "hunyuan_v1_dense",
    "hunyuan_moe": "hunyuan_v1_moe",
    "kimi_k2_text": "kimi_k2",
    "llama_nemotron_nas": "nemotron-nas",
    "minimax_m3_text": "minimax_m3",
    "minimax_m3_vl": "minimax_m3",
    "nemotron_nas": "nemotron-nas",
    "qwen3_5_mtp": "qwen3_5_text",
    "step3_7_text": "step3p7",
    "step3p5_text": "step3p5",
    "step3p7_text": "step3p7",
}
"""Other names under which a family is published."""

INNER_KEYS = ("text_config", "llm_config", "language_config", "language_model_config", "thinker_config")
"""Where a wrapper describes its language model, in the order of preference; the last holds a ``text_config`` itself."""

CLASS_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "llama": {
        "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "vocab_size": 32000, "max_position_embeddings": 2048,
    },
    "mistral": {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 131072, "sliding_window": 4096,
    },
    "gemma": {
        "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 16, "head_dim": 256, "vocab_size": 256000, "max_position_embeddings": 8192,
    },
    "gemma2": {
        "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 256000, "max_position_embeddings": 8192,
        "sliding_window": 4096,
    },
    "qwen2": {
        "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "vocab_size": 151936, "max_position_embeddings": 32768,
    },
}  # fmt: skip
"""What a wrapper's ``text_config`` leaves out is the default of the class in transformers, as older LLaVA files do.
Only these; a model at the top level states its dimensions or is refused."""


def family_of(kind: str) -> Family | None:
    """The family of a ``model_type``; None where it is not known (refused ones included)."""
    name = SAME_AS.get(kind, kind)
    return FAMILIES.get(name) or PLAIN.get(name)
