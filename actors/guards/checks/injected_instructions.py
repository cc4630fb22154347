"""Removes instructions to other agents that got into an answer, and images that carry data away.

A page or a tool can make a model repeat an attack to the agent or the program that reads its answer.
Only commands count, in plain or escaped form; quotations, code, and talk about attacks do not.
"""

import base64
import binascii
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

from actors.guards import patterns
from actors.guards.prose import sentence_check
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span
from actors.guards.wording.phrases import phrases

REMOVED = "[instructions removed]"
_PARTS = {
    "do": r"(?:^|[:;.!?>*_\x{2013}\x{2014}-]\s*|\b(?:please|now|and|then|also|must|should|agents?|assistants?),?\s+)",
    "rules": r"(?:instructions?|rules?|prompts?|directives?|guidelines?|guardrails?|constraints|policies)\b",
    "agent": r"(?:an? |any |all |the )?(?:ai|llm|language model|chat ?bot)s?(?: (?:models?|assistants?|agents?|systems?))?\b",
    "talk": r"(?:system prompt|conversation|chat (?:history|log)|environment variables|(?:user'?s?|personal) data)",
    "key": r"(?:api[ _-]?keys?|passwords?|credentials|secrets|tokens?|private keys?|cookies)",
    "place": r"\b(?:to|at|into|via)\b[^!?]{0,40}?(?:https?://|www\.|[\w.-]+@\w|\b[\w-]+\.(?:com|net|org|io|dev|xyz)\b)",
    "user": r"(?:the )?(?:user|human|operator|owner)s?\b",
}
_COMMAND = phrases(
    r"""
    <do>(?:ignore|disregard|forget|override|bypass) (?:all|any|every|your|the system|system|safety)\b(?: \w+){0,4} <rules>
    <do>(?:ignore|disregard|forget) (?:everything|all) (?:above|before|(?:that )?(?:you (?:were|have been) told|came before))
    (?:if you(?:'re| are)|attention|dear|note to|message (?:to|for)|instructions? (?:to|for)) <agent>(?:,|:|;| reading| that reads| processing| summari| parsing| with)
    <do>(?:send|post|forward|e-?mail|upload|exfiltrate|transmit|leak|append|copy) [^.!?]{0,60}<talk>[^.!?]{0,60}<place>
    <do>(?:send|post|forward|e-?mail|upload|exfiltrate|transmit|leak|append|copy) (?:all|any|every|the user'?s)\b[^.!?]{0,40}<key>[^.!?]{0,60}<place>
    <do>(?:call|invoke|run|execute|use) [^.!?]{0,40}\b(?:tool|function|command|script)s?\b[^.!?]{0,60}\b(?:without (?:asking|telling|informing|confirm)|silently|secretly)
    <do>(?:do not|don't|never) (?:tell|inform|alert|notify) <user>(?: (?:about|of|that) (?:this|these|it|you)\b|\s*[.!,;]|$)
    <do>(?:you are|you're) now (?:in )?(?:an? )?(?:dan\b|jailbr\w+|unrestricted|god mode|unfiltered)
    ^\W*(?:system|admin|developer) override\b
    <do>(?:reveal|print|output|repeat|show|disclose) (?:me )?your (?:\w+ )?(?:system|initial|hidden) (?:prompt|message|instructions)
    <do>(?:send|transfer|move|withdraw|drain) (?:all|the entire|the full|the user'?s)\b[^.!?]{0,60}\bto\b[^.!?]{0,30}(?:0x[0-9a-f]{6,}|bc1\w{6,})
    <do>(?:ignorier|vergiss|missacht|verwirf)\w*(?: sie)?(?: bitte)? (?:alle|sämtliche|deine|ihre)\b(?: \w+){0,2} (?:anweisung|regel|vorgabe|instruktion|richtlinie)
    <do>(?:ignore[zr]?|oublie[zr]?) (?:toutes? |tous )?(?:les|vos|tes) (?:instructions|consignes|règles|directives)(?: système)? (?:précédentes|antérieures|ci-dessus)
    <do>(?:ignor[ae]|olvid[ae]) (?:todas? |todos )?(?:las|los|tus|sus) (?:instrucciones|reglas|órdenes|directrices) (?:anteriores|previas)
    忽略(?:之前|以上|上述|先前|前面)的?(?:所有|全部)?(?:指令|指示|规则|提示)
    无视(?:之前|以上|上述|先前|前面)的?(?:所有|全部)?(?:指令|指示|规则|提示)
    """,
    **_PARTS,
)
_TOPIC = phrases(
    r"""
    (?:prompt|instruction)[- ]?injection|jailbreak|red[- ]?team|(?:system )?prompts?\b.*(?:write|draft|improve|create)
    (?:write|draft|improve|create|translate|rephrase)\b.*(?:prompt|instruction|attack|injection)
    """
)
"""Questions whose answers show such instructions."""
_IMAGE = patterns.compile(r"!\[[^\]\n]{0,200}\]\(<?https?://[^\s)>]+[>)]?\)?")
_VALUE = re.compile(r"(?<=[=/?&#])[^=/?&#)>]+")
_FEW_WORDS, _MANY_WORDS = 4, 8
"""Words in a part of an image's address that are data, if it has no description, and otherwise."""


def _decoded(text: str) -> str:
    """Return a sentence without the escapes of HTML and URLs."""
    if "&" in text:
        text = html.unescape(text)
    return unquote(text) if "%" in text else text


def _carries_data(image: str) -> bool:
    """Return whether the address of a Markdown image says something to its server."""
    description, _, address = image.partition("](")
    words = _MANY_WORDS if len(description) > len("![") + 2 else _FEW_WORDS
    return any(
        len(unquote_plus(value).split()) >= words
        or re.fullmatch(r"(?:\{|%7B)[\w ]{2,40}(?:\}|%7D)", value) is not None
        or _is_encoded_text(value)
        for value in _VALUE.findall(address.partition("//")[2])
    )


def _is_encoded_text(value: str) -> bool:
    try:
        plain = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(plain) >= 16 and plain.isascii() and plain.decode().isprintable() and b" " in plain


def _find(sentence: str) -> list[Span]:
    if _COMMAND.search(_decoded(sentence)) is not None:
        begin = len(sentence) - len(sentence.lstrip(" \t\n-*"))
        return [Span(begin, max(len(sentence.rstrip()), begin + 1), REMOVED)]
    return list(_images(sentence)) if "](" in sentence else []


def _images(sentence: str) -> Iterator[Span]:
    for begin, end in _IMAGE.finditer(sentence):
        if _carries_data(sentence[begin:end]):
            yield Span(begin, end)


def _make(context: GuardContext) -> Check | None:
    return None if _TOPIC.search(context.question) else sentence_check(_find)


GUARD = GuardSpec(
    name="injected_instructions",
    does="Removes instructions to other agents, and images that carry data to their server.",
    action=Action.REWRITE,
    make=_make,
)
