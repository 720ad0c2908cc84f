"""The questions of public sizing guides: what they claim and why our answer differs. Our figures come from runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One run of the optimizer and the words that introduce it."""

    file: str
    sets: tuple[str, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Scenario:
    """One question: the guides' answer, the runs or commands that give ours, and why they differ."""

    number: int
    title: str
    question: str
    guides: str
    why: str
    runs: tuple[Run, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        1,
        "70B on one 8x A800 server",
        "8x A800 80 GB with NVLink, a 70B model, 1,024 tokens in and 512 out, context 4,096: how many requests at once"
        " at FP16, INT8 and INT4?",
        'FP16 1-4, INT8 6-8, INT4 8-12, "with vLLM 12-20"; KV cache 100-150 MB per token; NVLink at 600 GB/s.',
        "Llama-3-70B (and Llama-2-70B) share each KV head among eight query heads: 2 x 80 layers x 8 heads x 128 x 2"
        " bytes = 0.33 MB per token, several hundred times less than the guides reckon. Memory then holds hundreds of"
        " requests, so the latency promises of the file decide, not memory. Without such promises there is no single"
        " answer. The A800's NVLink is 400 GB/s. Its efficiencies are those of the A100, one grade down.",
        runs=(Run("a800_server_concurrency.yaml"),),
    ),
    Scenario(
        2,
        "Qwen3-32B INT4 on one 8x A10 server",
        "One server with 8x A10 24 GB, Qwen3-32B at INT4, 2K to 4K context: how many requests at once?",
        '77 = (192 - 18 - 20) GB / 2 GB, "in practice some tens".',
        "The guide pools the memory of eight cards and divides. The KV cache of Qwen3-32B takes 0.26 MB per token, so"
        " a 4K request needs 1.07 GB, not 2, and memory would allow more. But every token crosses PCIe twice per layer,"
        " and prompts are read at the A10's modest speed: the time per token stops the growth long before memory does."
        " So some tens it is, for another reason than the guide's. Splitting over more cards carries less, not more:"
        " pairs (TP2) carry most, groups of four half as much, one group of all eight (TP8) is the worst of all, as its"
        " all-reduces grow with the group and the slowest host measured is assumed for them. Stacked layers (PP) carry"
        " less than as many pairs: a token passes the stages one after the other, and as nobody has measured them under"
        " load, their margin is the widest.",
        runs=(Run("a10_server_qwen3_32b.yaml"),),
    ),
    Scenario(
        3,
        "Memory of Llama-3-70B at 4K context",
        'How much memory do 1 and 32 users take at 4K context, and does the "golden formula" 1.2 x weights + KV + 4 GB'
        " hold?",
        "KV 1.3 GB per user, 41.6 GB for 32.",
        "The KV figure is right: 4,096 x 327,680 bytes = 1.34 GB, 43 GB for 32 users who all use their full context."
        " The factor 1.2 on the weights stands for nothing physical: for 70B at 16 bits it adds 28 GB where"
        " activations, context and graphs take a few GB per GPU, and it shrinks with quantization though they do not.",
        commands=(
            ("memory", "meta-llama/Meta-Llama-3-70B", "--gpu", "a100_sxm_80", "--context", "4096"),
            (
                *("memory", "meta-llama/Meta-Llama-3-70B", "--gpu", "a100_sxm_80", "--context", "4096"),
                *("--users", "32", "--quant", "int4", "--tp", "2"),
            ),
        ),
    ),
    Scenario(
        4,
        "One user, 70B, 8K context, 20 tokens/s",
        "Llama-3-70B, 8K context, one user, 20 tokens per second: which machine at FP16 and at INT4?",
        "FP16: 2x A100 80 GB (needs 2,800 GB/s, has about 3,289 after 15 % for communication). INT4: one A100 40 GB,"
        " one RTX 6000 Ada, or two RTX 4090. One guide puts FP16 on a single A100 80 GB.",
        "141 GB of weights do not fit one 80 GB card. INT4 weights are 39.8 GB, as embedding and head stay at 16 bits;"
        " an A100 40 GB offers 39.0 GB. One RTX 6000 Ada holds them, but reads 38 GB per token at 960 GB/s: 39 ms at"
        " best, some 52 ms at the usual three quarters of that, so it misses 20 tokens/s."
        " On two RTX 4090 they leave 1.8 GB a card for KV: some 11,000 tokens, one request of 8K."
        " Two A100 at FP16 miss 20 tokens/s by a tenth in the median estimate (55 ms a token, question 7): less"
        " than the error of the model, but no promise.",
        runs=(
            Run("one_user_70b_20tps.yaml", label="at the default confidence of 0.9"),
            Run("one_user_70b_20tps.yaml", ("margins.confidence=0.5",), "at confidence 0.5, the median estimate"),
        ),
    ),
    Scenario(
        5,
        "Retrieval with Qwen-72B INT8 on RTX 4090",
        "Qwen-72B at INT8 with prompts of 2,000 tokens: how long until the first token?",
        "0.87 s on one RTX 4090 at 660 TOPS x 50 %.",
        "The weights are 75 GB (embedding and head stay at 16 bits): no single RTX 4090"
        " holds them. The guide's arithmetic is right, 288e12 operations at half of the dense INT8 peak, but of a card"
        " that does not have the memory. Several cards divide the arithmetic and add the all-reduces of a 2,000-token"
        " prompt (32 MB, twice per layer) over PCIe, without peer to peer on GeForce cards: they cost more than what"
        " they divide. Four cards in a row (PP4) and two pairs in a row (TP2 PP2) take twice the guide's time, groups"
        " of four (TP4) longer.",
        runs=(Run("rag_72b_on_rtx4090.yaml"),),
    ),
    Scenario(
        6,
        "100 users at 20 tokens/s on a 72B model",
        "100 users x 20 tokens/s = 2,000 tokens/s: what does it take?",
        "2 x 72e9 x 2,000 = 288 TFLOPS: one RTX 4090 (INT8) has the compute, one A100 (FP16) has not.",
        "Arithmetic is one wall of three. The weights must fit (75 GB at INT8, 145 GB at FP16), the KV cache of 100"
        " requests too, and each step reads all weights, so bandwidth sets the pace. Also, prompts have to be"
        " read: at 1,024 tokens in and 512 out they are two thirds of the arithmetic, which the guide leaves out.",
        runs=(Run("users_100_at_20tps_72b.yaml"),),
    ),
    Scenario(
        7,
        "Low latency: one H100 FP8 or two A100 FP16",
        "For a single user of a 70B model: one H100 at FP8 or two A100 at FP16 with TP2?",
        "The single H100 wins: no all-reduce.",
        "Against two A100 at FP16 the guide is right, but the reason is another: FP8 halves the bytes that each token"
        " reads, which matters more than the all-reduces over NVLink (some 10 us, twice per layer). Two A100 with the"
        " same FP8 weights (stored in 8 bits, computed in 16) read half as much per card and are level with the H100"
        " per token, inside the error of the model. The H100 is sooner to the first token, as it computes in FP8 too,"
        " and its grade is better: nobody has published a measurement of A100 with FP8 weights of this kind of model.",
        runs=(Run("low_latency_70b.yaml"),),
    ),
    Scenario(
        8,
        "Two or four RTX 4090 over PCIe: TP or PP",
        "Llama-3-70B INT4 on RTX 4090 without NVLink: split layers (TP) or stack them (PP)?",
        "TP over PCIe costs 50-80 ms per token; prefer PP or replicas of a smaller model.",
        "For a single user PP leaves all cards but one waiting, and its time per token is that of reading all weights"
        " at one card's bandwidth. TP reads them in parallel but pays two all-reduces per layer, each with the"
        " latency of the PCIe hops: a few kilobytes per message, so latency, not bandwidth, is what it costs."
        " GeForce cards have no peer-to-peer. For one user TP wins all the same, and four cards beat two."
        " Groups of four over PCIe and stacked layers have not been measured under load: they are grade C.",
        runs=(Run("rtx4090_tp_or_pp.yaml"),),
    ),
    Scenario(
        9,
        "100,000 documents by 8 a.m.",
        "100,000 documents summarised offline within 10 hours, with Llama-3.1-8B and 70B: what does it cost?",
        "Independent replicas, huge batches, TTFT does not matter, spot is welcome.",
        "We agree, and put figures on it. Only the hours used are billed.",
        runs=(
            Run("batch_documents_8b.yaml", label="with the 8B model"),
            Run("batch_documents_70b.yaml", label="with the 70B model"),
        ),
    ),
    Scenario(
        10,
        "The recommendation table for 70B",
        "Which rows of the table really fit, and how many requests does each carry?",
        "INT4: 2x RTX 3090 / 4090. INT8: 2x A100 40 GB or 2x A6000. FP8: 1x H100. FP16: 2x A100 80 GB or 4x A100 40 GB."
        " 32K-128K context at FP16: 4x A100 80 GB or 8x A100 40 GB.",
        '"Fits" is a matter of context. Where weights fill the cards, little is left for KV cache: 70B at FP8 leaves'
        " about 8,000 tokens on one H100, one full request at 4K, or some ten of usual length with an FP8 KV cache."
        " INT8 on two A100 40 GB leaves 6,500 tokens beside 36.5 GB of weights on each card: one full request too."
        " Any machine and precision that is missing does not hold one full request either, or"
        " not inside the latency promises.",
        runs=(
            Run("table_70b_short_context.yaml", label="4K context"),
            Run(
                "table_70b_long_context.yaml",
                ("workloads.reader.tokens.context_max=32768",),
                "32K context (engines are started with that limit)",
            ),
            Run("table_70b_long_context.yaml", label="128K context"),
        ),
    ),
    Scenario(
        11,
        "Chatbot for 100 requests in flight",
        "TTFT p95 under 1 s, TPOT under 50 ms, 100 requests in flight, 8K context, 2,000 tokens/s: the cheapest way?",
        "No common answer; this is the example on the front page.",
        "The ranking is proven: no configuration in the catalog does it for less, under the stated model and prices.",
        runs=(Run("chatbot_100users.yaml"),),
    ),
    Scenario(
        12,
        "Peak figures side by side",
        'H100 SXM "FP16 1,979 TFLOPS", L20 "239 TFLOPS", RTX 4090 "83 TFLOPS": can they be compared?',
        "Quoted side by side.",
        "They are a sparse figure, an FP8 figure and a non-tensor figure. Dense FP16 on tensor cores with FP32"
        " accumulation is 989, 119.5 and 165 TFLOPS. The catalog holds dense figures only, with a source each.",
        commands=tuple(("catalog", "gpus", "--search", gpu) for gpu in ("h100_sxm_80", "l20_48", "rtx_4090_24")),
    ),
    Scenario(
        13,
        "DeepSeek-V3 for 5,000 people",
        "A mixture of 671B parameters, 5,000 people with 20 questions an hour each, 2,000 tokens in and 600 out, TPOT"
        " p95 50 ms: how many GPUs?",
        "No common answer: guides size the memory of one copy.",
        "Tensor parallelism keeps the latent KV cache whole on every GPU of a copy and lets each GPU read its part of"
        " every expert for every few tokens. Attention ranks keep requests of their own, and experts dealt to their"
        " GPUs are read once for the tokens of all: about half the GPUs for the same load. On H200 the promise on TPOT"
        " decides: an expert step of eight GPUs takes as long there as 50 ms leave with the error margin, so tensor"
        " parallelism stays the cheaper way at 50 ms, and not at 100.",
        runs=(
            Run("deepseek_company.yaml"),
            Run("deepseek_company.yaml", ("engine.expert_parallel=off",), "tensor parallelism alone"),
            Run(
                "deepseek_company.yaml",
                (
                    "hardware.gpus=[h200_sxm_141]",
                    "workloads.chat.slo.tpot_ms.p95=100",
                    "ranking.distinct_by=[configuration]",
                ),
                "on H200 at 100 ms",
            ),
        ),
    ),
    Scenario(
        14,
        "Agents on a model of a trillion parameters",
        "Kimi K2 for coding agents: prompts of thousands of tokens of which most were read a turn before; which"
        " cards, and"
        " do experts over several nodes pay?",
        "Guides size one copy: eight or sixteen GPUs with 80 or 141 GB, by tensor and pipeline parallelism.",
        "Weights fill most of a node of eight H200, so a copy there has little room for requests. Dealt over the"
        " GPUs of"
        " eight nodes each holds an eighth of the experts, and one replica does what many nodes by themselves do, where"
        " the offer states a network of 400 Gb/s for each GPU. A node of eight B200 has the room anyway and is cheaper"
        " still. Nobody measured ranks over nodes, and the hits are assumed: grade C. The prices are the example's.",
        runs=(
            Run("kimi_agents.yaml"),
            Run("kimi_agents.yaml", ("hardware.gpus=[h200_sxm_141]",), "on H200"),
            Run(
                "kimi_agents.yaml",
                ("hardware.gpus=[h200_sxm_141]", "engine.expert_parallel=node"),
                "on H200, experts inside a node",
            ),
        ),
    ),
    Scenario(
        15,
        "A rack of 72 GPUs against nodes of eight",
        "gpt-oss-120b for thousands of users: does a rack with one domain of fast links beat nodes of eight?",
        "Vendors compare tokens/s of a full rack with tokens/s of nodes.",
        "A rack is bought whole. Where the load fills it, it wins at the quoted price; at two thirds of the load"
        " most of it"
        " stands idle and nodes win. No dated price of a whole rack is known, so the quote is the example's own, and"
        " `optimize targets` says up to which price it would win.",
        runs=(
            Run("gpt_oss_rack.yaml"),
            Run("gpt_oss_rack.yaml", ("workloads.chat.traffic.requests_per_second=1000",), "at 1,000 requests/s"),
        ),
    ),
    Scenario(
        16,
        "Prompts and answers on unlike cards",
        "Long documents in, short answers out: one kind of card for both, or a prefill pool on one and a decode pool on"
        " another?",
        "Disaggregated serving is said to be faster; what it costs is not.",
        "Prompts want arithmetic, answers memory bandwidth. At the example's quotes H100 reads prompts and H20 writes"
        " answers for less than any plan whose replicas do both, proven. Pools are searched only where the file asks.",
        runs=(
            Run("rag_disaggregated_unlike.yaml"),
            Run("rag_disaggregated_unlike.yaml", ("engine.disaggregation=off",), "without pools"),
        ),
    ),
    Scenario(
        17,
        "A reasoning model, fast for each user",
        "A coding assistant that reasons before it answers; every user wants tokens fast: does speculative decoding"
        " save"
        " money?",
        "Speed-ups of 2 to 3 are published, mostly at batch 1.",
        "A step reads all weights whatever it writes, so where few requests run at a time drafts are nearly free,"
        " and where"
        " many run they cost what they save. The plan takes the low end of the published acceptance for this kind of"
        " text,"
        " each request with its own luck, and is a grade lower for it.",
        runs=(
            Run("reasoning_speculative.yaml"),
            Run("reasoning_speculative.yaml", ("engine.speculative=off",), "without drafts"),
        ),
    ),
)
