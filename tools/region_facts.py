"""Regions that providers publish, by country (ISO 3166): what ``hardware.regions`` may name, priced or not."""

from __future__ import annotations

REGION_COLUMNS = "provider region country source"

_AWS = ("aws", "AWS documentation: AWS Regions")
_AZURE = ("azure", "Microsoft Azure documentation: list of Azure regions")
_GCP = ("gcp", "Google Cloud documentation: regions and zones")
_OCI = ("oci", "Oracle Cloud Infrastructure documentation: regions and availability domains")
_ALIYUN = ("aliyun", "Alibaba Cloud documentation: regions and zones")
_TENCENT = ("tencent", "Tencent Cloud documentation: regions and availability zones")
_TENCENT_INTL = ("tencent-intl", "Tencent Cloud documentation: regions and availability zones")
_HUAWEI = ("huawei", "Huawei Cloud documentation: regions and endpoints")
_OVH = ("ovh", "OVHcloud documentation: Public Cloud regions")
_SCALEWAY = ("scaleway", "Scaleway documentation: regions and availability zones")
_IBM = ("ibm", "IBM Cloud documentation: region and data center locations")

_BY_PROVIDER = {
    _AWS: {
        "US": "us-east-1 us-east-2 us-west-1 us-west-2 us-gov-east-1 us-gov-west-1",
        "CA": "ca-central-1 ca-west-1",
        "MX": "mx-central-1",
        "BR": "sa-east-1",
        "IE": "eu-west-1",
        "GB": "eu-west-2",
        "FR": "eu-west-3",
        "DE": "eu-central-1",
        "CH": "eu-central-2",
        "SE": "eu-north-1",
        "IT": "eu-south-1",
        "ES": "eu-south-2",
        "IL": "il-central-1",
        "BH": "me-south-1",
        "AE": "me-central-1",
        "ZA": "af-south-1",
        "IN": "ap-south-1 ap-south-2",
        "SG": "ap-southeast-1",
        "AU": "ap-southeast-2 ap-southeast-4",
        "ID": "ap-southeast-3",
        "MY": "ap-southeast-5",
        "TH": "ap-southeast-7",
        "HK": "ap-east-1",
        "TW": "ap-east-2",
        "JP": "ap-northeast-1 ap-northeast-3",
        "KR": "ap-northeast-2",
        "CN": "cn-north-1 cn-northwest-1",
    },
    _AZURE: {
        "US": "eastus eastus2 centralus northcentralus southcentralus westcentralus westus westus2 westus3",
        "CA": "canadacentral canadaeast",
        "MX": "mexicocentral",
        "BR": "brazilsouth brazilsoutheast",
        "CL": "chilecentral",
        "IE": "northeurope",
        "NL": "westeurope",
        "GB": "uksouth ukwest",
        "FR": "francecentral francesouth",
        "DE": "germanywestcentral germanynorth",
        "CH": "switzerlandnorth switzerlandwest",
        "NO": "norwayeast norwaywest",
        "SE": "swedencentral swedensouth",
        "PL": "polandcentral",
        "IT": "italynorth",
        "ES": "spaincentral",
        "AT": "austriaeast",
        "IL": "israelcentral",
        "AE": "uaenorth uaecentral",
        "QA": "qatarcentral",
        "ZA": "southafricanorth southafricawest",
        "IN": "centralindia southindia westindia",
        "SG": "southeastasia",
        "HK": "eastasia",
        "AU": "australiaeast australiasoutheast australiacentral australiacentral2",
        "NZ": "newzealandnorth",
        "JP": "japaneast japanwest",
        "KR": "koreacentral koreasouth",
        "ID": "indonesiacentral",
        "MY": "malaysiawest",
        "CN": "chinaeast chinaeast2 chinaeast3 chinanorth chinanorth2 chinanorth3",
    },
    _GCP: {
        "US": "us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4",
        "CA": "northamerica-northeast1 northamerica-northeast2",
        "MX": "northamerica-south1",
        "BR": "southamerica-east1",
        "CL": "southamerica-west1",
        "BE": "europe-west1",
        "GB": "europe-west2",
        "DE": "europe-west3 europe-west10",
        "NL": "europe-west4",
        "CH": "europe-west6",
        "IT": "europe-west8 europe-west12",
        "FR": "europe-west9",
        "FI": "europe-north1",
        "SE": "europe-north2",
        "PL": "europe-central2",
        "ES": "europe-southwest1",
        "IL": "me-west1",
        "QA": "me-central1",
        "SA": "me-central2",
        "ZA": "africa-south1",
        "IN": "asia-south1 asia-south2",
        "SG": "asia-southeast1",
        "ID": "asia-southeast2",
        "HK": "asia-east2",
        "TW": "asia-east1",
        "JP": "asia-northeast1 asia-northeast2",
        "KR": "asia-northeast3",
        "AU": "australia-southeast1 australia-southeast2",
    },
    _OCI: {
        "US": "us-ashburn-1 us-phoenix-1 us-chicago-1 us-sanjose-1",
        "CA": "ca-toronto-1 ca-montreal-1",
        "BR": "sa-saopaulo-1 sa-vinhedo-1",
        "CL": "sa-santiago-1 sa-valparaiso-1",
        "CO": "sa-bogota-1",
        "MX": "mx-queretaro-1 mx-monterrey-1",
        "DE": "eu-frankfurt-1",
        "NL": "eu-amsterdam-1",
        "CH": "eu-zurich-1",
        "SE": "eu-stockholm-1",
        "IT": "eu-milan-1",
        "ES": "eu-madrid-1",
        "FR": "eu-paris-1 eu-marseille-1",
        "GB": "uk-london-1 uk-cardiff-1",
        "IL": "il-jerusalem-1",
        "AE": "me-dubai-1 me-abudhabi-1",
        "SA": "me-jeddah-1 me-riyadh-1",
        "ZA": "af-johannesburg-1",
        "IN": "ap-mumbai-1 ap-hyderabad-1",
        "SG": "ap-singapore-1",
        "JP": "ap-tokyo-1 ap-osaka-1",
        "KR": "ap-seoul-1 ap-chuncheon-1",
        "AU": "ap-sydney-1 ap-melbourne-1",
    },
    _ALIYUN: {
        "CN": "cn-hangzhou cn-shanghai cn-beijing cn-shenzhen cn-qingdao cn-zhangjiakou cn-huhehaote cn-wulanchabu"
        " cn-guangzhou cn-heyuan cn-chengdu cn-nanjing cn-fuzhou cn-wuhan-lr cn-shanghai/shenzhen",
        "HK": "cn-hongkong",
        "SG": "ap-southeast-1",
        "MY": "ap-southeast-3",
        "ID": "ap-southeast-5",
        "PH": "ap-southeast-6",
        "TH": "ap-southeast-7",
        "JP": "ap-northeast-1",
        "KR": "ap-northeast-2",
        "DE": "eu-central-1",
        "GB": "eu-west-1",
        "US": "us-west-1 us-east-1",
        "AE": "me-east-1",
        "SA": "me-central-1",
    },
    _TENCENT: {
        "CN": "ap-beijing ap-shanghai ap-guangzhou ap-chengdu ap-chongqing ap-nanjing",
        "HK": "ap-hongkong",
        "SG": "ap-singapore",
        "JP": "ap-tokyo",
        "KR": "ap-seoul",
        "DE": "eu-frankfurt",
        "US": "na-siliconvalley na-ashburn",
    },
    _TENCENT_INTL: {"CN": "guangzhou-3"},
    _HUAWEI: {
        "CN": "cn-north-4 cn-north-9 cn-east-2 cn-east-3 cn-east-4 cn-south-1 cn-south-4 cn-southwest-2",
        "HK": "ap-southeast-1",
        "TH": "ap-southeast-2",
        "SG": "ap-southeast-3",
        "ID": "ap-southeast-4",
    },
    _OVH: {"FR": "GRA SBG RBX PAR", "DE": "DE1", "PL": "WAW1", "GB": "UK1", "CA": "BHS5"},
    _SCALEWAY: {"FR": "fr-par", "NL": "nl-ams", "PL": "pl-waw"},
    _IBM: {
        "US": "us-south us-east",
        "GB": "eu-gb",
        "DE": "eu-de",
        "ES": "eu-es",
        "JP": "jp-tok jp-osa",
        "AU": "au-syd",
        "CA": "ca-tor",
        "BR": "br-sao",
    },
    ("nebius", "Nebius documentation: regions"): {
        "FI": "eu-north1", "FR": "eu-west1", "US": "us-central1"
    },
    ("verda", "Verda documentation: locations"): {"FI": "FIN-01 FIN-02 FIN-03"},
    ("hyperstack", "Hyperstack documentation: regions"): {
        "CA": "CANADA-1", "NO": "NORWAY-1", "US": "US-1"
    },
    ("jarvislabs", "Jarvislabs documentation: regions"): {"IN": "IN1 IN2"},
    ("seeweb", "Seeweb documentation: cloud server locations"): {"IT": "it-fr2"},
    ("lambda", "Lambda documentation: regions"): {
        "US": "us-west-1 us-west-2 us-west-3 us-east-1 us-east-2 us-east-3 us-south-1 us-south-2 us-south-3"
        " us-midwest-1",
        "DE": "europe-central-1",
        "IN": "asia-south-1",
        "JP": "asia-northeast-1 asia-northeast-2",
        "AU": "australia-east-1",
    },
    ("digitalocean", "DigitalOcean documentation: regional availability"): {
        "US": "nyc1 nyc2 nyc3 sfo2 sfo3 atl1",
        "CA": "tor1",
        "NL": "ams3",
        "GB": "lon1",
        "DE": "fra1",
        "SG": "sgp1",
        "IN": "blr1",
        "AU": "syd1",
    },
}  # fmt: skip

REGIONS = tuple(
    sorted(
        (provider, region, country, source)
        for (provider, source), countries in _BY_PROVIDER.items()
        for country, regions in countries.items()
        for region in regions.split()
    )
)
"""One row per provider and region. A region of a provider without offers is known by name all the same."""
