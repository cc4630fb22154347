"""Yardstick: a minimal relay that stores and checks nothing, as written in an afternoon.

The other relays are compared with it. Do not change its code, or results are not comparable.
"""

import argparse

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask


def make_app(upstream: str) -> FastAPI:
    """Return an app that relays `POST /v1/chat/completions` to `upstream`, byte for byte."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    timeout = httpx.Timeout(5, read=None)
    client = httpx.AsyncClient(base_url=upstream, limits=limits, timeout=timeout, trust_env=False)
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def relay(request: Request) -> StreamingResponse:
        body = await request.body()
        headers = {"content-type": "application/json"}
        outgoing = client.build_request("POST", "/chat/completions", content=body, headers=headers)
        answer = await client.send(outgoing, stream=True)
        return StreamingResponse(
            answer.aiter_raw(),
            status_code=answer.status_code,
            media_type=answer.headers.get("content-type"),
            background=BackgroundTask(answer.aclose),
        )

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    app = make_app(arguments.upstream)
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)
