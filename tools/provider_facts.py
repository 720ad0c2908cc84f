"""Who rents out or sells, where each company sits, and in which country a region lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PROVIDER_COLUMNS = "id aliases class country headquarters certificates name source"

_OWN = "our classification from the provider's own site, 2026-11-21"
_COLLECTED = "provider_class and country as collected with the dated prices, 2026-11"

_KNOWN = (
    ("aliyun", "", "hyperscaler", "CN", "Alibaba Cloud"),
    ("autodl", "", "marketplace", "CN", "AutoDL"),
    ("aws", "", "hyperscaler", "US", "Amazon Web Services"),
    ("azure", "", "hyperscaler", "US", "Microsoft Azure"),
    ("campus-hpc", "", "reseller", "CN", "a university computing centre (illustrative)"),
    ("cn-channel", "", "reseller", "CN", "Chinese resale channel (press reports)"),
    ("cn-leasing", "", "reseller", "CN", "Chinese leasing (illustrative)"),
    ("coreweave", "", "neocloud", "US", "CoreWeave"),
    ("crusoe", "", "neocloud", "US", "Crusoe"),
    ("digitalocean", "do", "neocloud", "US", "DigitalOcean"),
    ("gcp", "google", "hyperscaler", "US", "Google Cloud"),
    ("gongjiyun", "", "marketplace", "CN", "Gongjiyun"),
    ("gpuhub", "", "marketplace", "", "GPUhub"),
    ("hyperstack", "", "neocloud", "GB", "Hyperstack (NexGen Cloud)"),
    ("jarvislabs", "jarvis-labs", "neocloud", "IN", "Jarvislabs"),
    ("lambda", "", "neocloud", "US", "Lambda"),
    ("market-eu", "", "reseller", "", "European retail (press report)"),
    ("modal", "", "neocloud", "US", "Modal"),
    ("msrp-street", "msrp/street", "reseller", "", "launch prices and street prices"),
    ("nebius", "", "neocloud", "NL", "Nebius"),
    ("novita", "", "neocloud", "US", "Novita AI"),
    ("nvidia", "", "reseller", "US", "NVIDIA"),
    ("nvidia-cn", "nvidia->CN", "reseller", "CN", "NVIDIA list to Chinese customers (press report)"),
    ("oci", "oracle", "hyperscaler", "US", "Oracle Cloud Infrastructure"),
    ("packet-ai", "", "neocloud", "", "Packet.ai"),
    ("qubrid", "", "neocloud", "US", "Qubrid AI"),
    ("runpod", "", "neocloud", "US", "Runpod"),
    ("seeweb", "", "neocloud", "IT", "Seeweb"),
    ("sfcompute", "", "marketplace", "US", "San Francisco Compute"),
    ("spheron", "", "marketplace", "", "Spheron"),
    ("street", "", "reseller", "", "street prices quoted by guides"),
    ("tencent-intl", "", "hyperscaler", "CN", "Tencent Cloud International"),
    ("tensordock", "", "marketplace", "US", "TensorDock"),
    ("thinkmate", "", "reseller", "US", "Thinkmate"),
    ("vast", "vast-ai", "marketplace", "US", "Vast.ai"),
    ("verda", "datacrunch", "neocloud", "FI", "Verda (formerly DataCrunch)"),
    ("vultr", "", "neocloud", "US", "Vultr"),
)

_DATED = (
    ("akash", "", "marketplace", "", "Akash Network"),
    ("ctyun", "", "hyperscaler", "CN", "China Telecom Tianyi Cloud"),
    ("gmicloud", "", "neocloud", "US", "GMI Cloud"),
    ("hotaisle", "", "neocloud", "US", "Hot Aisle"),
    ("massedcompute", "", "neocloud", "US", "Massed Compute"),
    ("neysa", "", "neocloud", "IN", "Neysa"),
    ("omniyq", "", "reseller", "CN", "Omniyq (asking prices)"),
    ("ovh", "ovhcloud", "neocloud", "FR", "OVHcloud"),
    ("primeintellect", "prime-intellect", "marketplace", "US", "Prime Intellect"),
    ("runpod-community", "", "marketplace", "US", "Runpod Community Cloud (machines of third parties)"),
    ("scaleway", "", "neocloud", "FR", "Scaleway"),
    ("tensorwave", "", "neocloud", "US", "TensorWave"),
    ("together", "", "neocloud", "US", "Together AI"),
    ("volcengine", "", "hyperscaler", "CN", "Volcano Engine (ByteDance)"),
    ("voltagepark", "", "neocloud", "US", "Voltage Park"),
)


def provider_rows(papers: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """The rows of providers.csv; ``papers``: those of provider_certificates.csv, a certificate each.

    ``headquarters`` is the seat of the company; ``country`` stays blank, as nodes of one provider stand in several: an
    offer says its own where its region does. ``certificates`` are blank where no source was read that says they are
    held; one that is said to be in progress, or only named on a page, is not.
    """
    return sorted(
        (key, aliases, kind, "", seat, held, name, f"{source}; certificates: {told}" if told else source)
        for known, source in ((_KNOWN, _OWN), (_DATED, _COLLECTED))
        for key, aliases, kind, seat, name in known
        for held, told in [_papers(key, papers)]
    )


def _papers(provider: str, papers: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    """The certificates of a provider and where that is said."""
    mine = [paper for paper in papers if paper["provider"] == provider]
    held = "; ".join(paper["certificate"] for paper in mine)
    sources = dict.fromkeys(", ".join(filter(None, (paper["source"], paper["date"]))) for paper in mine)
    return held, "; ".join(sources)


CLASSES = {"vendor": "reseller"}
"""Words of the collected prices for our provider classes, where they differ."""

_COUNTRY_OF_REGION = (
    ("cn", "CN"),
    ("cn-north-1", "CN"),
    ("cn-shanghai", "CN"),
    ("eastus", "US"),
    ("eastus2", "US"),
    ("us", "US"),
    ("in", "IN"),
    ("asia-southeast1", "SG"),
    ("southeastasia", "SG"),
    ("europe-north1", "FI"),
    ("europe-west1", "BE"),
    ("europe-west4", "NL"),
    ("northeurope", "IE"),
    ("westeurope", "NL"),
    ("uksouth", "GB"),
    ("swedencentral", "SE"),
)
_OF_REGION = dict(_COUNTRY_OF_REGION)


def country_of(region: str) -> str:
    """Country (ISO 3166) in which a region lies, by the cloud's own region list; blank where it does not say."""
    if region.startswith(("us-", "us_")):
        return "US"
    if region.startswith("cn-"):
        return "CN"
    return _OF_REGION.get(region, "")
