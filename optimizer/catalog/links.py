"""The link between the GPUs of a node, from what a quote says and what the card's form implies."""

from __future__ import annotations

from optimizer.catalog.types import Gpu
from optimizer.vocabulary import NVLINK_CLASS, Link


def link_of(gpu: Gpu, gpus_per_node: int, nvlink: bool | None) -> Link:
    """The link that ``nvlink: yes | no`` means on a card; blank: what the card's form implies.

    SXM, OAM and HCCS boards come with their fabric. PCIe forms have it only with a bridge, so blank means none there.
    """
    if gpus_per_node == 1 or nvlink is False:
        return Link.PCIE
    if nvlink is None:
        return gpu.link if gpu.link is not Link.NVLINK_PAIR else Link.PCIE
    return gpu.link if gpu.link in NVLINK_CLASS else Link.NVLINK_PAIR
