"""Sends what a script has instead of an answer: an error, HTML, garbage, a reset or nothing."""

from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.rejections import Rejection
from web.simulate.endpoint import Endpoint
from web.simulate.http1 import whole_response
from web.simulate.stream import After, silence
from web.simulate.wire import Wire
from web.simulate.witness import RequestRecord

_HTML = b"""<!DOCTYPE html>
<html><head><title>Simulated gateway</title></head>
<body><h1>This is not the answer that you asked for.</h1></body></html>
"""
_GARBAGE = b"\x16\x03\x01\x02\x00\x01 this is not HTTP\r\n\r\n"


async def send_opening(
    endpoint: Endpoint, opening: Rejection | Fault, wire: Wire, record: RequestRecord
) -> After:
    """Send the script's replacement for the response."""
    if isinstance(opening, Rejection):
        await endpoint.send(rejected(opening, wire))
        record.head()
        record.end("rejected")
        return After.KEEP
    match opening.kind:
        case FaultKind.SILENT:
            return await silence()
        case FaultKind.HTML:
            await endpoint.send(whole_response(opening.status, _HTML, "text/html; charset=utf-8"))
            record.head()
            after = After.KEEP
        case FaultKind.GARBAGE:
            await endpoint.send(_GARBAGE)
            after = After.CLOSE
        case _:
            after = After.RESET
    record.end(opening.kind)
    return after


def rejected(rejection: Rejection, wire: Wire) -> bytes:
    """Return an error response in the shape of the wire format."""
    retry = rejection.retry_after_s
    headers = [] if retry is None else [("Retry-After", f"{retry:g}")]
    body = wire.error_body(rejection)
    return whole_response(rejection.status, body, "application/json", headers)
