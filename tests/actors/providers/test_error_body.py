"""Tests of the error formats of providers."""

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
            ProviderError("m", type="RESOURCE_EXHAUSTED", status=429),
        ),
        (
            b'{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":['
            b'{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}',
            ProviderError("m", code="API_KEY_INVALID", type="INVALID_ARGUMENT", status=400),
        ),
        (
            b'{"error":{"message":"m","details":[5,{"retryDelay":"21.5s"}]}}',
            ProviderError("m", retry_after_s=21.5),
        ),
        (b'{"error":{"message":"m","details":[{"retryDelay":"soon"}]}}', ProviderError("m")),
        (b'{"error":{"message":"m","details":[{"retryDelay":"."}]}}', ProviderError("m")),
        (b'{"error":{"message":"m","details":"odd"}}', ProviderError("m")),
        (
            b'{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":'
            b'"{\\"error\\":{\\"message\\":\\"m\\",\\"code\\":\\"c\\"}}"}}}',
            ProviderError("m", code="c", status=400),
        ),
        (b'{"error":{"message":"m","metadata":{"raw":"oops"}}}', ProviderError("oops")),
        (b'{"error":{"message":"m","metadata":{"raw":"<html>"}}}', ProviderError("m")),
        (b'{"error":{"error":{"message":"m"}}}', ProviderError("m")),
        (b'{"error":{},"errors":[{"message":"m","code":5021}]}', ProviderError("m", code="5021")),
        (b'{"error_code":336007,"error_msg":"m"}', ProviderError("m")),
        (b'{"Message":"m"}', ProviderError("m")),
        (b"the input is too long\n", ProviderError("the input is too long")),
        ("输入过长".encode(), ProviderError("输入过长")),
        (b"x" * 501, None),
        (b"Traceback:\n  line 1", None),
        (b'{"error":"m"}', ProviderError("m")),
        (b'"m"', ProviderError("m")),
        (b'{"message":"m","code":true}', ProviderError("m")),
        (b'{"message":"m","code":1302}', ProviderError("m", code="1302")),
        (b'{"detail":"m"}', ProviderError("m")),
        (b'{"detail":[{"loc":["body"],"msg":"m"}]}', ProviderError("m")),
        (b'{"error":{"code":7}}', None),
        (b'{"error":5}', None),
        (b"<html>", None),
        (b"[" * 60_000, None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_error_shapes(body: bytes, error: ProviderError | None) -> None:
    assert read_error(body) == error
