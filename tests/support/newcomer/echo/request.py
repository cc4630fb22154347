"""Validates an echo request and turns it into a model call."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from actors.turn.messages import UserMessage
from actors.turn.model_call import ModelCall


class EchoRequest(BaseModel):
    """The body of an echo request."""

    model_config = ConfigDict(strict=True, frozen=True)

    model: str
    text: Annotated[str, Field(min_length=1)]
    stream: bool = False

    @property
    def call(self) -> ModelCall:
        """Call that sends the text as the only message."""
        return ModelCall(upstream_model="", messages=(UserMessage(self.text),), parameters={})
