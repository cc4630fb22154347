"""Real vocabularies from a test-only wheel, and the deltas in which models stream texts."""

import base64
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec
import tiktoken
from msgspec import Struct
from sentencepiece import SentencePieceProcessor

LEAST_TOKENS = 50
"""Minimum visible tokens of an answer for which the accuracy is guaranteed."""


class Answer(Struct, frozen=True):
    """A text and the bytes of each of its tokens."""

    text: str
    sizes: list[int]

    def visible(self, tokens: int) -> str:
        """Return the text of the first tokens, without an incomplete last character."""
        return self.text.encode()[: sum(self.sizes[:tokens])].decode(errors="ignore")


Tokenize = Callable[[str], Answer]


def _data(name: str) -> Path:
    """Return the path of a data file in the wheel, without importing the wheel's dependencies."""
    spec = find_spec("mistral_common")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "data" / name


class _Config(Struct):
    pattern: str
    default_vocab_size: int
    default_num_special_tokens: int


class _Entry(Struct):
    rank: int
    token_bytes: str


class _Tekken(Struct):
    config: _Config
    vocab: list[_Entry]


def tekken() -> Tokenize:
    """Return the tokenizer of a byte-pair vocabulary with 131 072 tokens, as most models have."""
    file = msgspec.json.decode(_data("tekken_240911.json").read_bytes(), type=_Tekken)
    size = file.config.default_vocab_size - file.config.default_num_special_tokens
    encoding = tiktoken.Encoding(
        "tekken",
        pat_str=file.config.pattern,
        mergeable_ranks={base64.b64decode(e.token_bytes): e.rank for e in file.vocab[:size]},
        special_tokens={},
    )

    def tokenize(text: str) -> Answer:
        tokens = encoding.encode_ordinary(text)
        return Answer(text, [len(encoding.decode_single_token_bytes(token)) for token in tokens])

    return tokenize


def sentencepiece() -> Tokenize:
    """Return the tokenizer of a sentencepiece vocabulary with 32 768 tokens and byte fallback."""
    path = _data("mistral_instruct_tokenizer_240323.model.v3")
    processor = SentencePieceProcessor(model_file=str(path))

    def tokenize(text: str) -> Answer:
        pieces: list[str] = processor.encode(text, out_type=str)
        sizes = [1 if p.startswith("<0x") else len(p.replace("▁", " ").encode()) for p in pieces]
        sizes[0] -= 1  # sentencepiece adds a space before every text
        return Answer(text, sizes)

    return tokenize


def one_delta_per_token(answer: Answer, tokens: int, rng: random.Random) -> int:
    """Count one delta per token; a character of several tokens is sent with the last of them."""
    raw, end, deltas = answer.text.encode(), 0, 0
    for size in answer.sizes[:tokens]:
        end += size
        deltas += end == len(raw) or raw[end] & 0xC0 != 0x80
    return deltas


def merged_deltas(answer: Answer, tokens: int, rng: random.Random) -> int:
    """Count deltas of one to eight tokens."""
    deltas = 0
    while tokens > 0:
        tokens -= rng.randint(1, 8)
        deltas += 1
    return deltas


def one_delta(answer: Answer, tokens: int, rng: random.Random) -> int:
    """Count one delta for the whole answer."""
    return 1


def deltas_by_size(answer: Answer, tokens: int, rng: random.Random) -> int:
    """Count one delta for every 64 visible bytes."""
    return -(-len(answer.visible(tokens).encode()) // 64)
