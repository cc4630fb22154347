"""Where a provider is, as its settings say it."""

import httpx


def endpoint(name: str, base_url: str) -> httpx.URL:
    """The base URL of a provider; raises `ValueError` where it cannot be used."""
    url = httpx.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"the base URL of provider {name} is not http:// or https://")
    if url.userinfo:
        raise ValueError(f"the base URL of provider {name} has credentials in it: use api_key")
    return url
