"""Context: reasons why a phrase of an attack is not one, such as a quotation. Pure.

"Attackers write 'ignore all previous instructions'" is about an attack. What is disguised never
counts as a quotation, and neither does a phrase that merely stands in quotes.
"""

import re

from actors.guards import patterns
from actors.guards.input.folding import folded
from actors.guards.input.phrases import InputClass
from actors.guards.patterns import Pattern

NEAR = 240
"""Characters before and after a phrase that are looked at."""


def _any(words: str) -> Pattern:
    """Return a pattern of the beginnings of words, which are written with `|` between them."""
    plain = map(folded, words.split("|"))
    starts = (rf"\b{word}" if word[0].isascii() else word for word in plain)
    return patterns.compile("|".join(starts), ignore_case=True)


_ATTACK = _any(
    "prompt.?injection|injection|inject|jailbreak|jail-break|attack|adversar|malicious|exploit|"
    "payload|red.?team|owasp|phishing|scam|fraud|hacker|social engineering|abuse|"
    "angriff|angreif|schädlich|betrug|injektion|attaque|malveillant|hameçonnage|arnaque|attaquant|"
    "ataque|atacante|attacc|malicios|malevol|estafa|golpe|truffa|inyecci|injeç|iniezion|"
    "aanval|kwaadaardig|oplicht|sald\u0131r\u0131|enjeksiyon|doland\u0131r|атак|инъекц|мошен|злоумышл|"
    "攻击|攻擊|注入|越狱|越獄|诈骗|詐騙|攻撃|インジェクション|詐欺|脱獄|공격|هجوم|حقن|احتيال"
)
"""Beginnings of words for attacks, in text that is about them."""
_MENTION = _any(
    "example|e\\.g|such as|for instance|like|phrase|sentence|string|say|said|saying|call|titled|"
    "named|pattern|regex|keyword|label|title|quote|mean|translat|wrote|writes|written|type|typed|"
    "ask|asked|asking|telling|tells|told|detect|filter|flag|block|test|assert|classif|dataset|"
    "beispiel|z\\.b|satz|wort|schreib|exemple|phrase|mot|ejemplo|frase|esempio|exemplo|voorbeeld|"
    "zin|örnek|cümle|ifade|пример|фраз|слов|例|短语|句子|句|例えば|フレーズ|という|のような|예|مثال|عبارة"
)
"""Beginnings of words that introduce a quotation."""
_LIST = _any(
    "example|e\\.g|such as|for instance|phrase|pattern|looks like|including|instances of|sample|"
    "beispiel|exemple|ejemplo|esempio|exemplo|voorbeeld|örnek|пример|例|예|مثال"
)
"""Beginnings of words that introduce a list of examples, which need no quotes."""
_SINGLE_OPEN = re.compile(r"(?:^|[\s(\[{:=,>])'[^'\n]{0,120}$")
_SINGLE_CLOSE = re.compile(r"[^'\n]{0,200}'(?:\W|$)")
_NOT_MEANT = {
    *("not", "never", "dont", "don't", "cannot", "can't", "cant", "won't", "didn't", "doesn't"),
    *("that", "which", "who", "often", "sometimes", "if", "when", "while", "unless", "why", "once"),
    *("users", "user", "attackers", "models", "they", "it", "he", "she", "we", "i", "people"),
    *("did", "does", "how", "no", "non", "nao", "nicht", "ne", "nie", "what", "by", "about"),
    *("j'ai", "n'ai", "avez", "avons", "ont", "he", "can", "may", "could", "might", "would"),
    folded("не"),
}
"""Words after which a command is not meant as one: "attackers ignore", "do not ignore"."""
_AUXILIARY = {"will", "should", "must", "shall", "to"}
_ADDRESSED = re.compile(
    r"\b(?:you|your|ur|thee|thy|yourself|please|assistant|ai|chatbot|sure|now)\b", re.I
)
_NOT_MEANT_BEFORE = ("不要", "不能", "不会", "别", "請勿", "请勿", "勿", "不得", "如何", "怎么")
_CONDITION = re.compile(
    r"[\s,(]{0,3}(?:only )?(?:if|unless|in case|when|since|as long as)"
    r" (?:you|your|it|they|we|the|using|already|necessary|needed)\b",
    re.IGNORECASE,
)
_CALL = re.compile(r"\w+\(")
_OWN = re.compile(r"\b(?:my|our|his|her|their)\b|^(?:忘记了|忘記了|忘了)", re.IGNORECASE)
"""Words of those who speak of their own instructions, or have forgotten something."""
_ADVICE = re.compile(
    r"\b(?:never|do not|don't|not to) (?:give|share|send|tell|disclose|reveal|provide|enter)\b"
    r"|\bhow (?:do|can|to|should|would|could|does)\b",
    re.IGNORECASE,
)
"""Words of those who warn of a command, or ask how something is done."""
_ASKS = re.compile(
    r"'s\b|[^.!?\n]{0,40}[,;:.-]? (?:how|where|which|what) (?:do|can|could|should|would|to|is)\b",
    re.IGNORECASE,
)
"""Words behind a role that is that of someone who asks how something is done."""
_COMMANDS = {InputClass.INSTRUCTION_OVERRIDE, InputClass.FINANCIAL_DRAIN, InputClass.ENCODING_TRICK}


def is_meant(text: str, begin: int, end: int, each: InputClass) -> bool:
    """Return False if the phrase at `begin` to `end` of a text in plain form is not an attack."""
    phrase = text[begin:end]
    if phrase.isascii() and (not re.search(r"\s", phrase) or _CALL.match(phrase)):
        return False  # an identifier, a part of a link, or print("Your prompt:")
    if each is InputClass.INSTRUCTION_OVERRIDE and _OWN.search(phrase):
        return False
    if each is InputClass.AUTHORITY_CLAIM and _ADVICE.search(phrase):
        return False
    before = text[max(begin - NEAR, 0) : begin]
    after = text[end : end + NEAR]
    if each is InputClass.AUTHORITY_CLAIM and _ASKS.match(after):
        return False
    if each in _COMMANDS and (_is_described(before, phrase) or _CONDITION.match(after)):
        return False
    return not _is_mentioned(before, after)


def _is_described(before: str, phrase: str) -> bool:
    """Return True if the words before a command say that it is not given here."""
    if before.endswith(_NOT_MEANT_BEFORE):
        return True
    line = before[-60:].rpartition("\n")[2]
    words = line.split()
    if not words or not line[-1].isspace():
        return False
    last = words[-1].lower().strip("\"'(,*")
    if last in _NOT_MEANT:
        return True
    return last in _AUXILIARY and not _ADDRESSED.search(f"{line} {phrase}")


def _is_mentioned(before: str, after: str) -> bool:
    """Return True if text about attacks quotes the phrase or lists it as an example."""
    if _ATTACK.search(before) and _LIST.search(before):
        return True
    if not _is_quoted(before, after):
        return False
    return any(cue.search(part) for cue in (_ATTACK, _MENTION) for part in (before, after))


def _is_quoted(before: str, after: str) -> bool:
    paragraph = before.rpartition("\n\n")[2]
    for quote in '"`':
        if paragraph.count(quote) % 2 and quote in after:
            return True
    line = before.rpartition("\n")[2]
    if line.lstrip().startswith((">", "//", "#")):
        return True
    return bool(_SINGLE_OPEN.search(line) and _SINGLE_CLOSE.match(after))
