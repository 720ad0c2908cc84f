"""The exact LRU of prompt blocks behind routers, against a second, slower count written from the definition."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.commands import cli
from optimizer.simulate.prefix_cache import BlockCache, PrefixRequest, PrefixRouter, PrefixTiers, prefix_hits

BLOCK = 16


def sessions(seed: int, count: int = 300) -> list[PrefixRequest]:
    """Growing conversations, interleaved: what a chat sends."""
    draw = random.Random(seed)
    open_: dict[int, list[int]] = {}
    fresh, requests, now = 0, [], 0.0
    for _ in range(count):
        now += draw.expovariate(2.0)
        session = draw.randrange(25)
        blocks = open_.setdefault(session, [0, 1])
        more = draw.randrange(1, 6)
        blocks.extend(range(1000 + fresh, 1000 + fresh + more))
        fresh += more
        tokens = BLOCK * len(blocks) + draw.randrange(BLOCK)
        requests.append(PrefixRequest(now, session, tokens, draw.randrange(1, 300), tuple(blocks)))
    return requests


def counted_by_definition(requests: list[PrefixRequest], capacity: int, replicas: int, sticky: bool) -> float:
    """Age of every block by a list in order of use."""
    held: list[list[int]] = [[] for _ in range(replicas)]
    hit = 0
    for index, request in enumerate(requests):
        cache = held[(request.session if sticky else index) % replicas]
        match = 0
        while match < len(request.blocks) and request.blocks[match] in cache:
            match += 1
        hit += match * BLOCK
        for block in reversed(request.blocks):
            if block in cache:
                cache.remove(block)
            cache.append(block)
        del cache[: max(0, len(cache) - capacity)]
    return hit / sum(request.input_tokens for request in requests)


def routed_by_definition(
    requests: list[PrefixRequest], block: int, capacity: int, replicas: int, router: str, host: int = 0
) -> tuple[float, float]:
    """Share of the input that is found, and the part of it that lies on no card: ages of blocks in dictionaries, every
    rule as ``data/traces/README.md`` states it, nothing taken from the module under test."""
    age: list[dict[int, int]] = [{} for _ in range(replicas)]
    near: list[dict[int, int]] = [{} for _ in range(replicas)]
    ends: list[list[float]] = [[] for _ in range(replicas)]
    used = [-1] * replicas
    hit = brought = clock = 0

    def found(held: dict[int, int], blocks: Sequence[int]) -> int:
        return next((n for n, one in enumerate(blocks) if one not in held), len(blocks))

    for index, one in enumerate(requests):
        busy = [sum(end > one.arrival_s for end in each) for each in ends]
        idlest = min(range(replicas), key=lambda k: (busy[k], used[k]))
        if router == "round_robin":
            k = index % replicas
        elif router == "sticky":
            k = one.session % replicas
        else:
            k = idlest
            if router == "prefix_aware":
                match = [found(held, one.blocks) for held in age]
                best = min(range(replicas), key=lambda k: (-match[k], busy[k], used[k]))
                most = 1.5 * sum(busy) / replicas + 4
                if match[best] and match[best] * block >= 0.5 * one.input_tokens and busy[best] <= most:
                    k = best
        hit += found(age[k], one.blocks)
        brought += found(age[k], one.blocks) - found(near[k], one.blocks) if host else 0
        for held, room in ((age[k], max(capacity, host)), (near[k], capacity)):
            for each in reversed(one.blocks):
                clock += 1
                held[each] = clock
            for each in sorted(held, key=held.__getitem__)[: max(len(held) - room, 0)]:
                del held[each]
        used[k] = index
        ends[k].append(one.arrival_s + one.input_tokens / 20_000 + 0.02 * one.output_tokens)
    sent = sum(one.input_tokens for one in requests)
    return hit * block / sent, brought * block / sent


@pytest.mark.parametrize("router", [router.value for router in PrefixRouter])
@pytest.mark.parametrize(("capacity", "replicas", "host"), [(40, 1, 0), (90, 3, 0), (60, 4, 150), (200, 2, 100)])
@pytest.mark.parametrize("block", [BLOCK, 100])
def test_a_mooncake_file_is_counted_by_the_definition(
    tmp_path: Path, router: str, capacity: int, replicas: int, host: int, block: int
) -> None:
    """Through the command: blocks as ``hash_ids`` of which the last may be partial, milliseconds, sessions told from
    the prompts, the size of a block told from the lengths."""
    file = tmp_path / "t.jsonl"
    draw, lines, requests = random.Random(capacity), list[str](), list[PrefixRequest]()
    owner: dict[tuple[int, ...], int] = {}
    first = 0
    for one in sessions(capacity + replicas, 400):
        rest = draw.randrange(block)
        ids = [*one.blocks, *([10**6 + len(lines)] if rest else [])]
        tokens, ms = block * len(one.blocks) + rest, round(1000 * one.arrival_s)
        made = round(one.output_tokens)
        first = first or ms
        lines.append(json.dumps({"timestamp": ms, "input_length": tokens, "output_length": made, "hash_ids": ids}))
        heads = [tuple(one.blocks[:n]) for n in range(2, len(one.blocks) + 1)]
        begun = [owner[head] for head in heads if head in owner]
        session = requests[max(begun)].session if begun else len({r.session for r in requests})
        owner[tuple(one.blocks)] = len(requests)
        requests.append(PrefixRequest(ms / 1000 - first / 1000, session, tokens, made, one.blocks))
    file.write_text("\n".join(lines))
    options = ["--capacity-tokens", str(capacity * block), "--replicas", str(replicas), "--router", router]
    options += ["--host-tokens", str(host * block)] if host else []
    run = CliRunner().invoke(cli, ["trace", str(file), *options, "--format", "json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.output)
    truth = routed_by_definition(requests, block, capacity, replicas, router, host)
    assert told["block_tokens"] == block
    assert (told["hit_rate"], told["host_hit_rate"]) == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("capacity", [0, 5, 60, 400])
def test_hits_equal_a_count_by_the_definition(capacity: int, replicas: int, sticky: bool) -> None:
    requests = sessions(7)
    router = PrefixRouter.STICKY if sticky else PrefixRouter.ROUND_ROBIN
    found = prefix_hits(requests, BLOCK, PrefixTiers(capacity * BLOCK), replicas, router)
    assert found.rate == pytest.approx(counted_by_definition(requests, capacity, replicas, sticky), abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), small=st.integers(0, 300), more=st.integers(0, 300))
def test_more_memory_never_hits_less(seed: int, small: int, more: int) -> None:
    requests = sessions(seed, 120)
    for router in (PrefixRouter.ROUND_ROBIN, PrefixRouter.STICKY):
        sizes = [PrefixTiers(blocks * BLOCK) for blocks in (small, small + more)]
        rates = [prefix_hits(requests, BLOCK, size, 2, router).hit_tokens for size in sizes]
        assert rates[0] <= rates[1]


def test_routers_that_know_the_prefix_find_more() -> None:
    requests = sessions(3)
    rate = {router: prefix_hits(requests, BLOCK, PrefixTiers(100 * BLOCK), 4, router).rate for router in PrefixRouter}
    assert rate[PrefixRouter.STICKY] > rate[PrefixRouter.ROUND_ROBIN]
    assert rate[PrefixRouter.PREFIX_AWARE] > rate[PrefixRouter.LEAST_LOADED]


def test_tails_leave_first() -> None:
    cache = BlockCache(3)
    cache.touch([1, 2, 3, 4])
    assert (cache.match([1, 2, 3, 4]), cache.match([2])) == (3, 1)


def test_a_round_of_clients_falls_off_a_cliff() -> None:
    """Twenty clients in turn, each with one context: held whole, or not at all, as least recently used order has it."""
    requests = [
        PrefixRequest(float(i), i % 20, 160.0, 10.0, tuple(range(100 * (i % 20), 100 * (i % 20) + 10)))
        for i in range(200)
    ]
    assert prefix_hits(requests, BLOCK, PrefixTiers(200 * BLOCK), 1, PrefixRouter.ROUND_ROBIN).rate == pytest.approx(
        0.9
    )
    assert prefix_hits(requests, BLOCK, PrefixTiers(190 * BLOCK), 1, PrefixRouter.ROUND_ROBIN).rate == 0.0


def test_the_command_prints_the_exact_rate(tmp_path: Path) -> None:
    requests = sessions(11)
    rows = [
        f"{r.arrival_s},{r.session},1,{r.input_tokens},{r.output_tokens},{' '.join(map(str, r.blocks))}"
        for r in requests
    ]
    file, problem = tmp_path / "t.csv", tmp_path / "p.yaml"
    file.write_text("\n".join(["time_s,session,turn,input_tokens,output_tokens,blocks", *rows]))
    options = ["--capacity-tokens", "960", "--replicas", "2", "--router", "sticky", "--format", "json"]
    run = CliRunner().invoke(cli, ["trace", str(file), *options, "--block-tokens", "16", "-o", str(problem)])
    assert run.exit_code == 0, run.output
    told = json.loads(run.output)
    assert told["hit_rate"] == pytest.approx(counted_by_definition(requests, 60, 2, True), abs=1e-12)
    assert (told["requests"], told["sessions"]) == (300, len({r.session for r in requests}))
    again = CliRunner().invoke(cli, ["check", str(problem)])
    assert again.exit_code == 0, again.output
