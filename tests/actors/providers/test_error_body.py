"""The shapes in which providers report errors."""

import pytest

from actors.providers.error_body import ProviderError, read_error


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            b'{"error":{"message":"m","type":"t","param":"p","code":"c"}}',
            ProviderError("m", code="c", type="t", param="p"),
        ),
        (
            b'[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]',
            ProviderError("m", code="429", type="RESOURCE_EXHAUSTED", status=429),
        ),
        (b'{"error":"m"}', ProviderError("m")),
        (b'"m"', ProviderError("m")),
        (b'{"message":"m","code":true}', ProviderError("m")),
        (b'{"detail":"m"}', ProviderError("m")),
        (b'{"detail":[{"loc":["body"],"msg":"m"}]}', ProviderError("m")),
        (b'{"error":{"code":7}}', None),
        (b'{"error":5}', None),
        (b"<html>", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_shapes(body: bytes, error: ProviderError | None) -> None:
    assert read_error(body) == error
