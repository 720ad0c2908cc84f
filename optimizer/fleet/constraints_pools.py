"""Rules about a prefill pool and a decode pool: which pair, how many workers, where, over which network.

A workload is served by replicas that do both phases, or by one pair of pools: ``split`` is 1 for the latter. Workers
are slots like others (``at``, ``reps``), so packing, spare nodes, stock, quotas, limits and money hold for them as for
replicas: both pools may share nodes, and a spare node of a type stands by for whichever pool uses it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from optimizer.candidates.pools import PoolChoice
from optimizer.fleet.variables import Variables
from optimizer.pricing.types import NodeOption
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import IntVar, LinearExprT

Site = tuple[str, str]
"""A place whose nodes reach each other over the network that they state."""


def site_of(option: NodeOption) -> Site:
    """The provider and its region; where no region is stated the offer, as two offers may then be far apart."""
    offer = option.offer
    return (offer.provider, f"region {offer.region}" if offer.region else f"offer {offer.id}")


def one_pair(v: Variables) -> None:
    """``sum over pairs of pair[i] = split``; each worker's ``at[c] = sum over the pairs with it of pair[i]``.

    With ``engine.disaggregation: required`` also ``split >= 1``.
    """
    pools = v.instance.pools
    if pools is None:
        return
    v.cp.add(_chosen(v, range(len(pools.choices))) == v.split()).with_name("pools.one_pair")
    for index, slot in v.slots():
        if slot.candidate.role is not Role.SERVE:
            mine = [i for i, one in enumerate(pools.choices) if slot.candidate.key in _keys(one)]
            v.cp.add(v.at(index) == _chosen(v, mine)).with_name(f"pools.worker[{index}]")
    if v.instance.rules.pools_required:
        v.cp.add(v.split() >= 1).with_name("rule:engine.disaggregation")


def capacity(v: Variables) -> None:
    """``reps[c] >= need[i] pair[i]`` for the prefill and for the decode worker of each pair: a row each.

    ``need``: workers that a fluid takes, ``ceil(requests per second / what one worker does below saturation and inside
    the promise of TPOT)``, and ``ceil(requests in flight / slots)``; of pools on several nodes also
    ``ceil(requests per second / requests whose caches one worker's share of the network carries)``: the transfer row.
    """
    for i, one, (prefill, decode) in _pairs(v):
        for name, index, least in (("prefill", prefill, one.least[0]), ("decode", decode, one.least[1])):
            v.cp.add(v.reps(index) >= least * v.pair(i)).with_name(f"pools.capacity.{name}[{i}]")


def missed(v: Variables) -> None:
    """``pair[i]`` implies ``n_p >= a + 1`` or ``n_d >= b + 1`` for each trial of ``a`` prefill and ``b`` decode workers
    that missed a promise as replayed: fewer of both keep no more."""
    for i, one, (prefill, decode) in _pairs(v):
        for number, (before, after) in enumerate(one.missed):
            more = []
            for index, count, most in ((prefill, before, one.most[0]), (decode, after, one.most[1])):
                if count < most:
                    literal = v.cp.new_bool_var(f"more[{i},{number},{index}]")
                    v.cp.add(v.reps(index) >= count + 1).only_enforce_if(literal)
                    more.append(literal)
            v.cp.add_bool_or([~v.pair(i), *more]).with_name(f"pools.missed[{i},{number}]")


def inside_one_node(v: Variables) -> None:
    """Pools that exchange caches over the links of one node stand on one node, others on two or more, spares aside:

    ``sum of nodes - spares <= 1 + M (1 - sum over pairs inside of pair[i])`` and
    ``sum of nodes - spares >= 2 sum over other pairs of pair[i]``.
    """
    pools = v.instance.pools
    if pools is None:
        return
    inside = [i for i, one in enumerate(pools.choices) if one.pair.inside]
    outside = [i for i, one in enumerate(pools.choices) if not one.pair.inside]
    types = v.instance.node_types
    working = v.all_nodes() - sum(v.spares(node_type) for node_type in types)
    most = sum(v.instance.max_nodes(option.node_type) for option in v.instance.options)
    if inside:
        v.cp.add(working <= 1 + most * (1 - _chosen(v, inside))).with_name("pools.inside")
    if outside:
        v.cp.add(working >= 2 * _chosen(v, outside)).with_name("pools.outside")


def one_site(v: Variables) -> None:
    """All nodes of both pools are of one site: ``sum over sites of site[s] = split`` and
    ``nodes[o] <= M (1 - split + site[of o])``."""
    if v.instance.pools is None:
        return
    members: dict[Site, list[int]] = defaultdict(list)
    for index, option in enumerate(v.instance.options):
        members[site_of(option)].append(index)
    sites = {site: v.cp.new_bool_var(f"site[{'|'.join(site)}]") for site in sorted(members)}
    v.cp.add(sum(sites.values()) == v.split()).with_name("pools.one_site")
    for site, options in sorted(members.items()):
        for index in options:
            most = v.instance.max_nodes(v.instance.options[index].node_type)
            v.cp.add(v.node(index) <= most * (1 - v.split() + sites[site])).with_name(f"pools.site[{index}]")


def pays(v: Variables) -> None:
    """``cost <= below - 1 + M (1 - split)``: a plan with pools is listed only where it costs less than the cheapest
    plan of replicas that do both phases."""
    pools = v.instance.pools
    if pools is None or pools.below_cents is None:
        return
    below = (pools.below_cents - v.instance.rules.fixed_cents - 1) // v.instance.money_unit
    v.cp.add(v.cost() <= below).only_enforce_if(v.split()).with_name("pools.pays")


def _pairs(v: Variables) -> Iterable[tuple[int, PoolChoice, tuple[int, int]]]:
    """Each pair with the slots of its workers."""
    pools = v.instance.pools
    slot_of = {slot.candidate.key: index for index, slot in v.slots() if slot.candidate.role is not Role.SERVE}
    for i, one in enumerate(() if pools is None else pools.choices):
        before, after = _keys(one)
        yield i, one, (slot_of[before], slot_of[after])


def _keys(one: PoolChoice) -> tuple[tuple[str | int | float, ...], tuple[str | int | float, ...]]:
    return one.pair.prefill.key, one.pair.decode.key


def _chosen(v: Variables, pairs: Iterable[int]) -> LinearExprT:
    literals: list[IntVar] = [v.pair(i) for i in pairs]
    return sum(literals) if literals else 0
