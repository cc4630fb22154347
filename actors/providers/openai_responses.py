"""Wire format `openai-responses`: OpenAI's Responses API over HTTP, streamed or one document."""

from actors.heavy import encoded
from actors.providers.decoding import Document, SseStream
from actors.providers.formats import Decoder, RequestParts
from actors.providers.openai_responses_events import EventReader, WholeReader
from actors.providers.openai_responses_request import translate
from actors.providers.scrub import Scrub
from actors.turn.model_call import ModelCall

PATH = "/responses"


class OpenAIResponses:
    """The Responses API as an `actors.providers.formats.Format`."""

    stream_type = "text/event-stream"

    def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        return translate(call).left_out

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        headers = [
            ("content-type", "application/json"),
            ("accept", "text/event-stream, application/json"),
        ]
        if api_key is not None:
            headers.append(("authorization", f"Bearer {api_key}"))
        translation = translate(call)
        body = {**translation.body, "stream": True}
        return RequestParts(PATH, tuple(headers), encoded(body), translation.left_out)

    def stream_decoder(self, scrub: Scrub) -> Decoder:
        return ResponsesDecoder(scrub)

    def whole_decoder(self, scrub: Scrub) -> Decoder:
        return ResponsesWholeDecoder(scrub)


class ResponsesDecoder(EventReader, SseStream):
    """Decoder for a stream of server-sent events."""


class ResponsesWholeDecoder(WholeReader, Document):
    """Decoder for an answer sent as one document although a stream was requested."""
