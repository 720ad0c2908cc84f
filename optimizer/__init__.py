"""The LLM deployment optimizer: the cheapest deployments that meet your serving targets, with a proof."""
