"""The explicit placement against brute force and against the inequality that the fleet model uses."""

from __future__ import annotations

import time
from collections import Counter
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.verify.hardware import Pool, can_place, removals, survives


def pool(per_node: int, nodes: tuple[int, ...], replicas: tuple[int, ...]) -> Pool:
    return Pool(per_node, nodes, Counter(replicas))


@pytest.mark.parametrize(
    ("per_node", "nodes", "replicas", "fits"),
    [
        (8, (1,), (4, 2, 1, 1), True),
        (8, (1,), (4, 4, 1), False),
        (8, (2,), (4, 4, 4, 2, 2), True),
        (6, (2,), (4, 4, 2, 2), True),
        (6, (2,), (4, 4, 4), False),
        (7, (1,), (3, 2, 2), True),
        (10, (2,), (6, 5, 5, 4), True),  # first fit alone succeeds
        (10, (2,), (5, 4, 4, 3, 2, 2), True),  # largest first leaves no room for the last: a search finds it
        (8, (2,), (16,), True),
        (8, (1, 1), (16,), False),  # a replica may not span two offers
        (8, (2, 1), (16, 8), True),
        (8, (2,), (12,), False),  # it fills whole nodes or none
        (8, (0,), (), True),
        (8, (0,), (1,), False),
    ],
)
def test_placements_by_hand(per_node, nodes, replicas, fits):
    assert can_place(pool(per_node, nodes, replicas)) is fits


def brute_force(per_node: int, nodes: int, replicas: tuple[int, ...]) -> bool:
    """Every order of first fit: some order reproduces any packing there is."""
    for order in set(permutations(replicas)):
        free = [per_node] * nodes
        for size in order:
            index = next((index for index, room in enumerate(free) if room >= size), None)
            if index is None:
                break
            free[index] -= size
        else:
            return True
    return not replicas


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 10), st.integers(1, 3), st.lists(st.integers(1, 6), max_size=6))
def test_placement_is_exact_for_any_sizes(per_node, nodes, sizes):
    replicas = tuple(size for size in sizes if size <= per_node)
    assert can_place(pool(per_node, (nodes,), replicas)) is brute_force(per_node, nodes, replicas)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([1, 2, 4, 6, 8, 10, 16]), st.integers(0, 6), st.lists(st.sampled_from([1, 2, 4, 8]), max_size=20)
)
def test_for_powers_of_two_it_is_the_inequality_of_the_fleet_model(per_node, nodes, sizes):
    """For every size s: GPUs of items >= s <= nodes x s x floor(gpus_per_node / s) (design.md section 5)."""
    replicas = tuple(size for size in sizes if size <= per_node)
    holds = all(
        sum(size for size in replicas if size >= s) <= nodes * s * (per_node // s)
        for s in (1, 2, 4, 8)
        if s <= per_node
    )
    assert can_place(pool(per_node, (nodes,), replicas)) is holds


def test_losing_nodes():
    assert sorted(removals((2, 1), 2)) == [(1, 1), (2, 0)]
    assert survives([pool(8, (2,), (8,))], 1)
    assert not survives([pool(8, (2,), (8, 1))], 1)
    assert not survives([pool(8, (3,), (8,)), pool(4, (1,), (4,))], 1)  # the only node of a type may be the one lost
    assert survives([pool(8, (1, 2), (8,))], 2)
    assert survives([pool(8, (1,), ())], 3)  # losing more than there is loses everything


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([2, 4]), st.lists(st.integers(0, 3), min_size=1, max_size=2),
                  st.lists(st.sampled_from([1, 2, 4, 8]), max_size=4)),
        min_size=1, max_size=2,
    ),
    st.integers(0, 3),
)  # fmt: skip
def test_losing_nodes_pool_by_pool_is_losing_any_of_the_plan(drawn, lost):
    pools = [pool(per_node, tuple(nodes), tuple(replicas)) for per_node, nodes, replicas in drawn]
    counts = [count for one in pools for count in one.nodes]
    gone = min(lost, sum(counts))

    def placed(removal: tuple[int, ...]) -> bool:
        taken = iter(removal)
        return all(can_place(one.without([next(taken) for _ in one.nodes])) for one in pools)

    removed = [one for one in product(*(range(count + 1) for count in counts)) if sum(one) == gone]
    assert survives(pools, lost) is all(placed(one) for one in removed)


def test_a_big_fleet_is_placed_at_once():
    assert can_place(pool(8, (2000,), (1,) * 16000))
    assert not can_place(pool(8, (2000,), (1,) * 16001))
    assert can_place(pool(8, (500,), (3,) * 1000))


def test_the_time_of_a_placement_does_not_grow_with_the_fleet():
    """A fleet of a hundred thousand times the nodes takes about as long (by ratio, so that no machine decides)."""

    def seconds(times: int) -> float:
        fleet = Pool(8, (30 * times, 20 * times), {16: 5 * times, 4: 40 * times, 2: 40 * times, 1: 80 * times})
        begun = time.perf_counter()
        for _ in range(20):
            assert can_place(fleet)
            assert survives([fleet], 1) is False
        return time.perf_counter() - begun

    assert min(seconds(100_000) for _ in range(3)) < 20 * min(seconds(1) for _ in range(3))
