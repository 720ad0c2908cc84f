"""The exact LRU of prompt blocks behind routers, against a second, slower count written from the definition."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    import json

    from click.testing import CliRunner

    from optimizer.commands import cli

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
