"""Corrects claims to be another model, or the model of another vendor, than the one in use.

A model whose name tells no vendor is an alias of the operator: then each such claim is corrected.
"""

import re
from functools import lru_cache

from msgspec import Struct

from actors.guards.patterns import Pattern
from actors.guards.prose import sentence_check
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span
from actors.guards.wording.phrases import phrases
from actors.guards.wording.remarks import without_remark
from actors.guards.wording.requests import wants_a_voice

_FAMILIES = {
    "openai": (
        r"chat-?gpt\S*|gpt-?\s?\d[\w.-]*|gpt|o[134](?:-mini|-preview|-pro)?|codex|davinci",
        "open-?\\s?ai",
    ),
    "anthropic": (r"claude(?:[ -](?:\d[\w.]*|opus|sonnet|haiku|instant|code))*", "anthropic"),
    "google": (
        r"gemini(?:[ -](?:\d[\w.]*|pro|flash|ultra|nano|advanced))*|bard|gemma|palm 2",
        "google(?: deepmind| ai)?|deepmind",
    ),
    "meta": (r"llama(?:[ -]?\d[\w.]*)?|meta ai", "meta(?: ai)?|facebook"),
    "mistral": (
        r"mistral(?:[ -](?:large|medium|small|nemo|7b))?|mixtral|le chat|codestral|devstral",
        "mistral(?: ai)?",
    ),
    "alibaba": (r"qwen[\w.-]*|tongyi(?: qianwen)?|qwq", "alibaba(?: cloud)?|qwen team"),
    "deepseek": (r"deepseek(?:[ -](?:v\d[\w.]*|r1|chat|coder))*", "deepseek"),
    "xai": (r"grok(?:[ -]\d[\w.]*)?", "xai|x\\.ai|elon musk"),
    "microsoft": (r"(?:microsoft |github |bing )?copilot|bing chat|phi-\d[\w.-]*", "microsoft"),
    "cohere": (r"command[ -]r\+?", "cohere"),
    "moonshot": (r"kimi(?:[ -]k\d[\w.]*)?", "moonshot(?: ai)?"),
    "zhipu": (r"chatglm[\w.-]*|glm-?\d[\w.]*", "zhipu(?: ai)?|z\\.ai"),
}
"""Names of the models and of the vendors of each family."""
_NAMES_IN = {
    family: phrases(f"(?:{models}|{vendors})\\b") for family, (models, vendors) in _FAMILIES.items()
}
_NAMED = (
    r"i(?:'m| am)(?: actually| really| called| named| indeed| in fact|, in fact,)*(?: an?)?(?: version| instance| variant)?(?: of)?(?: the)?(?: \w+ (?:ai|assistant|model))? (<models>)\b",
    r"(?:assistant|model|ai|chat-?bot),? (?:called|named|known as) (<models>)\b",
    r"as (<models>), i\b",
    r"this is (<models>)(?: speaking| here)?[.,!]",
    r"(?:my name is|you(?:'re| are) (?:now )?(?:talking|speaking|chatting) (?:to|with)) (<models>)\b",
    r"(?:ich bin|ich heiße|mein name ist|je suis|je m'appelle|mon nom est|soy|me llamo|mi nombre es) (<models>)\b",
)
_MADE = r"(?:developed|created|trained|made|built|designed|powered|provided|entwickelt|trainiert|développé|créé|entraîné|conçu|desarrollad[oa]|cread[oa]|entrenad[oa])"
_TRAIL = (
    r"(?:model|assistant|ai|chat-?bot|system|program|modell|assistent|modèle|modelo|asistente|langage|lenguaje|<models>)(,? (?:that (?:was|is) |which (?:was|is) |das )?<made> (?:by|par|por) (?:the (?:team|people|company) (?:at )?)?(?:<vendors>))\b",
    r"(?:model|assistant|ai|chat-?bot|system)( (?:from|by) (?:<vendors>))\b",
    r"(?:<models>)(, (?:an? |the )?(?:<vendors>)(?:'s)? (?:[\w-]+ ){0,3}(?:model|assistant|ai|chat-?bot))\b",
    r"(?:modell|assistent|ki|<models>)(,? (?:das |der |die )?von (?:<vendors>) <made>(?: wurde)?)\b",
)
_ORIGIN = r"""
(?:i was|i have been|i've been|i am|i'm) (?:\w+ )?<made> by (?:the (?:team|people|company) (?:at )?)?(?:<vendors>)\b
i(?:'m| am|)(?: an? (?:\w+ )?(?:ai|assistant|model))? (?:run on|based on|powered by|built on|running on|derived from) (?:<models>|<vendors>)\b
(?:<vendors>) (?:has )?<made> me\b
i(?:'m| am) (?:an? |the )?(?:<vendors>)(?:'s)? (?:[\w-]+ )?(?:model|assistant|ai|chatbot)\b
ich (?:bin|wurde)\b[^,;:]*\bvon (?:<vendors>)\b[^,;:]*<made>
(?:je suis|j'ai été) <made>e? par (?:<vendors>)\b
(?:soy|fui|he sido) <made> por (?:<vendors>)\b
"""
_ANOTHER_WORD = re.compile(
    r" (?!AI\b)[A-Z][a-z]+|-[a-z]+ing\b|'s\b| (?:users?|developer|fan|engineer)\b"
)
"""Text behind a name that makes it the name of a person or a part of something else."""


_SPEAKS_OF_ITSELF = re.compile(
    r"[^\w]*(?:yes, |no, |ja, |oui, |sí, )?(?:i(?:'m| am)|ich bin|je suis|soy)\b", re.IGNORECASE
)


class _Claims(Struct, frozen=True):
    """Patterns of claims to be of one of several families."""

    origin: Pattern
    """Statements about the vendor, which are removed."""
    named: tuple[Pattern, ...]
    """Statements of a name, which is group 1."""
    trail: tuple[Pattern, ...]
    """Parts of statements that name the vendor, which are group 1."""


@lru_cache(maxsize=64)
def _claims(families: tuple[str, ...]) -> _Claims:
    parts = {
        "models": "|".join(_FAMILIES[family][0] for family in families),
        "vendors": "|".join(_FAMILIES[family][1] for family in families),
        "made": _MADE,
    }
    return _Claims(
        origin=phrases(_ORIGIN, **parts),
        named=tuple(phrases(line, **parts) for line in _NAMED),
        trail=tuple(phrases(line, **parts) for line in _TRAIL),
    )


def _make(context: GuardContext) -> Check | None:
    if not context.model or wants_a_voice(context.question):
        return None
    known = f"{context.model}\n{context.system}"
    others = tuple(family for family, names in _NAMES_IN.items() if names.search(known) is None)
    if not others:
        return None
    claims = _claims(others)

    def find(sentence: str) -> list[Span]:
        made = claims.origin.search(sentence)
        if made is not None:
            return [without_remark(sentence, *made)]
        names = [
            Span(begin, end, context.model)
            for pattern in claims.named
            for begin, end in pattern.finditer(sentence, 1)
            if _ANOTHER_WORD.match(sentence, end) is None
        ]
        if not _SPEAKS_OF_ITSELF.match(sentence):
            return names[:1]
        trails = [Span(*at) for one in claims.trail for at in one.finditer(sentence, 1)]
        return _apart(names[:1] + trails)

    return sentence_check(find)


def _apart(spans: list[Span]) -> list[Span]:
    """Return the spans in order, without those that overlap an earlier one."""
    kept: list[Span] = []
    for span in sorted(spans):
        if not kept or span.begin >= kept[-1].end:
            kept.append(span)
    return kept


GUARD = GuardSpec(
    name="model_identity",
    does="Corrects claims to be another model, or the model of another vendor, than the one in use.",
    action=Action.REWRITE,
    make=_make,
)
