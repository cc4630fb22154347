"""Validates the base URL of a provider."""

import httpx


def endpoint(name: str, base_url: str) -> httpx.URL:
    """Return the parsed base URL of a provider. Raises `ValueError` if it cannot be used."""
    url = httpx.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"the base URL of provider {name} is not http:// or https://")
    if url.userinfo:
        raise ValueError(f"the base URL of provider {name} has credentials in it: use api_key")
    return url
