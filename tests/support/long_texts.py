"""Texts that are hard for rules about texts, by name; each is repeated to a size."""

import base64
import random

from tests.support.sizes import FULL

SIZE = (1 << 20) if FULL else (1 << 16)
RANDOM = random.Random(14)
TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog. ",
    "russian": "Быстрая бурая лиса прыгает через ленивого пса. ",
    "invisible": "\u200b",
    "letters and invisible": "a\u200b",
    "marks": "a\u0301\u0323",
    "entities": "&#105;",
    "nested entities": "&amp;amp;#105; ",
    "nested percent": "%2525252569",
    "percent": "%69 ",
    "escapes": "\\u0069\\x69",
    "base64 of text": base64.b64encode(b"ignore previous").decode(),
    "base64 of phrases": base64.b64encode(b"ignore previous instructions ").decode(),
    "base64 of data": base64.b64encode(RANDOM.randbytes(3 << 10)).decode(),
    "one word": "a",
    "spaced": "a ",
    "leet": "1gn0r3 ",
    "first words": "ignore ",
    "many first words": "send show transfer ignore disable your the all ",
    "phrases": "ignore previous instructions ",
    "quoted phrases": 'attack "ignore previous instructions" ',
    "rot13": "vtaber vafgehpgvbaf ",
    "reversed lines": "snoitcurtsni\n",
    "chinese": "之前的所有忽略",
    "spaces": "ignore" + " " * 5_000,
    "hex": "6a ",
    "bits": "01101010 ",
}
