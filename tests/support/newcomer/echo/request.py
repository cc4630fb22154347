"""Validates an echo request and turns it into a model call."""

from typing import Annotated

from pydantic import Field

from actors.turn.messages import UserMessage
from actors.turn.model_call import ModelCall
from web.surfaces.validation import Body, Object
from web.turns.planner import ModelRequest


class _Body(Body):
    text: Annotated[str, Field(min_length=1)]
    stream: bool = False


def read_echo_request(raw: Object) -> ModelRequest:
    """Return the request from the body's object; raises `ApiError` (400)."""
    body = _Body.read(raw)
    call = ModelCall(messages=(UserMessage(body.text),))
    return ModelRequest(model=body.model, call=call, stream=body.stream)
