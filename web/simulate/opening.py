"""What comes instead of an answer: errors, HTML, garbage, a reset, or nothing."""

from actors.providers.simulated.behaviour import Fault, FaultKind
from actors.providers.simulated.rejections import Rejection
from web.simulate.endpoint import Endpoint
from web.simulate.http1 import whole_response
from web.simulate.stream import After, silence
from web.simulate.wire import Wire
from web.simulate.witness import Sighting

_HTML = b"""<!DOCTYPE html>
<html><head><title>Simulated gateway</title></head>
<body><h1>This is not the answer that you asked for.</h1></body></html>
"""
_GARBAGE = b"\x16\x03\x01\x02\x00\x01 this is not HTTP\r\n\r\n"


async def play_opening(
    endpoint: Endpoint, opening: Rejection | Fault, wire: Wire, sighting: Sighting
) -> After:
    """Send what stands in the place of the response's head, or of the whole response."""
    if isinstance(opening, Rejection):
        await endpoint.send(rejected(opening, wire))
        sighting.head()
        sighting.end("rejected")
        return After.KEEP
    match opening.kind:
        case FaultKind.SILENT:
            return await silence()
        case FaultKind.HTML:
            await endpoint.send(whole_response(opening.status, _HTML, "text/html; charset=utf-8"))
            sighting.head()
            after = After.KEEP
        case FaultKind.GARBAGE:
            await endpoint.send(_GARBAGE)
            after = After.CLOSE
        case _:
            after = After.RESET
    sighting.end(opening.kind)
    return after


def rejected(rejection: Rejection, wire: Wire) -> bytes:
    """An error response in the wire's shape."""
    retry = rejection.retry_after_s
    headers = [] if retry is None else [("Retry-After", f"{retry:g}")]
    body = wire.error_body(rejection)
    return whole_response(rejection.status, body, "application/json", headers)
