"""Twilio's products have hosts of their own; a server of ours that speaks their protocols has one for all."""

from .calls import BASE_URL


def host_of(base_url: str, product: str) -> str:
    """Where a product is asked (`pricing`, `trunking`) by whoever reaches the account's REST API at `base_url`."""
    return base_url.replace("://api.", f"://{product}.", 1) if base_url == BASE_URL else base_url
