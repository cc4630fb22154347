"""Dialect `echo`: the text as JSON strings, then the status."""

import msgspec

from actors.answer.builder import fold
from actors.turn.events import AnyEvent, Ended, Recovered, Replace, Retry, Text
from actors.turn.outcome import Reason
from web.dialects.base import DialectSpec, DialectStream

NAME = "echo"


class EchoStream(DialectStream):
    """An echo stream of one turn."""

    def _render(self, event: AnyEvent) -> bytes:
        match event:
            case Text(delta) if not self.discarded:
                return self.numbering.frame(msgspec.json.encode(delta))
            case Retry() | Replace():
                self.discarded = True
            case Recovered(epoch):
                self.numbering.new_epoch(epoch)
            case Ended(status=status):
                shown = "replaced" if self.discarded else status
                return self.numbering.frame(msgspec.json.encode({"status": shown}))
        return b""


DIALECT = DialectSpec(
    name=NAME,
    stream=lambda options, after: EchoStream(NAME, after),
    whole=lambda journal, options, answer: {"text": (answer or fold(journal)).text},
    finishes=frozenset({Reason.STOP, Reason.LENGTH}),
)
