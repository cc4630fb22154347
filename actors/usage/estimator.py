"""Token estimator: estimates usage that a provider doesn't report and learns from reported usage.

Each upstream model has two fits: by the features of a text and by the number of its deltas. They
are weighted by their past accuracy, so a model that sends one token per delta is estimated by its
deltas, and one that sends whole answers by their text. `estimate_tokens` is a rule of thumb without
learnt state, for embeddings and recovered turns.
"""

import re
from collections import deque
from statistics import median

from actors.turn.model_call import ModelCall
from actors.usage.prompt_text import PromptText, prompt_text
from actors.usage.text_features import Features, features
from actors.usage.token_fit import TokenFit

MAX_MODELS = 256
"""Maximum number of models kept; a new one replaces the least recently used."""

TOKENS_PER_MESSAGE = 4
"""Tokens that a chat template adds to each message."""

TEXT_SPREAD = Features(
    words=0.1, pieces=0.4, signs=0.25, numbers=0.35, cjk=0.35, rare=0.5, syllables=0.5, others=0.5
)
"""Standard deviation of each feature's weight among vocabularies."""
DELTA_SPREAD = (0.5, 0.5)
"""Standard deviation of the tokens per delta, and of the tokens without a delta of their own."""

ENOUGH_TURNS = 5
"""Minimum number of turns with enough deltas before deltas are used at all."""
LEAST_DELTAS = 8
"""Minimum deltas of a turn to learn from; with fewer, merged deltas distort the ratio too much."""
LEAST_ERROR = 1e-6
"""Minimum squared relative error that is assumed, however accurate the estimates were so far."""

LEAST_BY_DELTAS, MOST_BY_DELTAS = 1 / 1.5, 4.0
"""Bounds of the estimate by deltas, relative to the estimate by text; below the lower bound a proxy
has merged the deltas."""

PROMPTS = 16
"""Number of recent prompts kept per model."""

ENOUGH_PROMPTS = 3
"""Minimum number of prompts before the learnt factor is used."""
LEAST_PROMPT = 100
"""Minimum estimated tokens of a prompt to learn from; shorter ones are mostly template."""

MOST_ADDED = 2.0
"""Maximum factor by which the learnt factor raises or lowers the estimate of a prompt."""

EAGER = 48
"""Number of initial reports of a model, all of which are learnt from."""
STRIDE = 8
"""Interval of later reports that are learnt from, since learning costs as much as relaying ten
tokens."""

MAX_CHARS_PER_TOKEN = 64
"""Maximum plausible characters per reported token."""
MAX_TOKENS_PER_CHAR = 4
"""Maximum plausible reported tokens per character, in addition to `OVERHEAD_TOKENS`."""
OVERHEAD_TOKENS = 64
"""Plausible tokens beyond the text, for the template around an answer and its tool calls."""

CHARS_PER_TOKEN = 4.0
TOKENS_PER_CJK_CHAR = 1.4
SAMPLE = 16_384
"""Characters examined; longer texts are extrapolated, since a full scan blocks the event loop."""

_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


class LearningEstimator:
    """Estimator for all upstream models of a process, without I/O, clock or randomness."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}
        self._default = _Model()
        """Used for models without learnt state, and never changed."""

    def estimate(self, model: str, text: str, deltas: int = 0) -> int:
        """Return the estimated tokens of `text`, which came in `deltas` deltas.

        `deltas` is 0 if unknown. The estimate is 0 only for an empty text. It never shrinks with
        more deltas. Without deltas it never shrinks when text is appended either, up to the
        length that is examined in full.
        """
        if not text:
            return 0
        return max(1, round(self._model(model).tokens(features(text), deltas)))

    def learn(self, model: str, text: str, deltas: int, tokens: int) -> None:
        """Learn that the provider counted `tokens` for the complete `text` of a finished turn.

        Both must cover the same output: subtract the tokens of reasoning that isn't in the text.
        Implausible counts and zero are ignored.
        """
        if not _is_plausible(len(text), tokens):
            return
        state = self._model(model, create=True)
        if state.is_due():
            state.learn(features(text), deltas, tokens)
        state.reports += 1

    def estimate_input(self, model: str, call: ModelCall) -> int:
        """Return the estimated tokens of the prompt, without images and files."""
        return round(self._model(model).prompt_tokens(prompt_text(call), len(call.messages)))

    def learn_input(self, model: str, call: ModelCall, tokens: int) -> None:
        """Learn that the provider counted `tokens` for the prompt, including cached ones."""
        if not self._model(model).is_due():
            return
        prompt = prompt_text(call)
        if _is_plausible(prompt.size, tokens) and prompt.is_complete:
            self._model(model, create=True).learn_prompt(prompt, len(call.messages), tokens)

    def _model(self, name: str, *, create: bool = False) -> "_Model":
        """Return the model's state, marked as the most recently used, or the default."""
        state = self._models.pop(name, None)
        if state is None and not create:
            return self._default
        state = self._models[name] = state or _Model()
        if len(self._models) > MAX_MODELS:
            del self._models[next(iter(self._models))]
        return state


def estimate_tokens(text: str) -> int:
    """Return the estimated number of tokens in `text`; 0 only for an empty text."""
    if not text:
        return 0
    sample = text[:SAMPLE]
    wide = 0 if sample.isascii() else len(_CJK.findall(sample))
    tokens = (len(sample) - wide) / CHARS_PER_TOKEN + wide * TOKENS_PER_CJK_CHAR
    return max(1, round(tokens * len(text) / len(sample)))


class _Model:
    """Learnt state of one model."""

    __slots__ = ("_by_deltas", "_by_text", "_prompts", "reports")

    def __init__(self) -> None:
        self._by_text = TokenFit(TEXT_SPREAD)
        self._by_deltas = TokenFit(DELTA_SPREAD)
        self._prompts: deque[float] = deque(maxlen=PROMPTS)
        """Reported tokens of recent prompts, relative to their estimates."""
        self.reports = 0

    def is_due(self) -> bool:
        """Return True if the next report should be learnt from."""
        return self.reports < EAGER or self.reports % STRIDE == 0

    def tokens(self, found: Features, deltas: int) -> float:
        by_text = self._by_text.tokens(found)
        if deltas <= 0 or self._by_deltas.answers < ENOUGH_TURNS:
            return by_text
        by_deltas = self._by_deltas.tokens((deltas, _split(found)))
        by_deltas = min(MOST_BY_DELTAS * by_text, max(LEAST_BY_DELTAS * by_text, by_deltas))
        text_error, delta_error = self._by_text.error, self._by_deltas.error + LEAST_ERROR
        share = text_error / (text_error + delta_error)
        return share * by_deltas + (1.0 - share) * by_text

    def learn(self, found: Features, deltas: int, tokens: int) -> None:
        self._by_text.learn(found, tokens)
        if deltas >= LEAST_DELTAS:
            self._by_deltas.learn((deltas, _split(found)), tokens)

    def prompt_tokens(self, prompt: PromptText, messages: int) -> float:
        enough = len(self._prompts) >= ENOUGH_PROMPTS
        factor = median(self._prompts) if enough else 1.0
        return self._plain_prompt(prompt, messages) * min(MOST_ADDED, max(1 / MOST_ADDED, factor))

    def learn_prompt(self, prompt: PromptText, messages: int, tokens: int) -> None:
        plain = self._plain_prompt(prompt, messages)
        if plain >= LEAST_PROMPT:
            self._prompts.append(tokens / plain)

    def _plain_prompt(self, prompt: PromptText, messages: int) -> float:
        tokens = self._by_text.tokens(features(prompt.text)) * prompt.times
        return TOKENS_PER_MESSAGE * messages + tokens


def _split(found: Features) -> float:
    """Return the tokens that may be parts of a character, which arrives in one delta."""
    return found.rare + found.syllables + found.others


def _is_plausible(length: int, tokens: int) -> bool:
    most = MAX_TOKENS_PER_CHAR * length + OVERHEAD_TOKENS
    return 0 < tokens <= most and 0 < length <= MAX_CHARS_PER_TOKEN * tokens
