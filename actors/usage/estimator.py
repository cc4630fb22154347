"""Token estimator: estimates usage that a provider doesn't report and learns from reported usage.

Each upstream model has two fits: by text (`token_fit`) and by number of deltas (`delta_fit`). They
are weighted by their past accuracy, so a model that sends one token per delta is estimated by its
deltas, and one that sends whole answers by their text. `estimate_tokens` is a rule of thumb without
learnt state, for embeddings and recovered turns.
"""

import re
from collections import deque
from statistics import median

from msgspec import Struct

from actors.turn.model_call import ModelCall
from actors.usage.delta_fit import DeltaFit, DeltaTurn
from actors.usage.prompt_text import PromptText, is_all_text, prompt_text
from actors.usage.text_features import Features, features
from actors.usage.token_fit import Matrix, TokenFit, Vector

MAX_MODELS = 256
"""Maximum number of models kept; a new one replaces the least recently used."""

TOKENS_PER_MESSAGE = 4
"""Tokens that a chat template adds to each message."""

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


class Learnt(Struct, frozen=True):
    """Learnt state of one model, to be stored and loaded again."""

    model: str
    weights: Vector
    covariance: Matrix
    turns: tuple[DeltaTurn, ...]
    prompts: Vector
    """Reported tokens of recent prompts, relative to their estimates."""


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
        return max(1, round(self._known(model).tokens(features(text), deltas)))

    def learn(self, model: str, text: str, deltas: int, tokens: int) -> None:
        """Learn that the provider counted `tokens` for the complete `text` of a finished turn.

        Both must cover the same output: subtract the tokens of reasoning that isn't in the text.
        Implausible counts and zero are ignored.
        """
        if _is_plausible(len(text), tokens) and self._created(model).is_due():
            self._created(model).learn(features(text), deltas, tokens)

    def estimate_input(self, model: str, call: ModelCall) -> int:
        """Return the estimated tokens of the prompt, without images and files."""
        return round(self._known(model).prompt_tokens(prompt_text(call), len(call.messages)))

    def learn_input(self, model: str, call: ModelCall, tokens: int) -> None:
        """Learn that the provider counted `tokens` for the prompt, including cached ones."""
        if not self._known(model).wants_prompts():
            return
        prompt = prompt_text(call)
        if _is_plausible(prompt.size, tokens) and is_all_text(call):
            self._created(model).learn_prompt(prompt, len(call.messages), tokens)

    def dump(self) -> tuple[Learnt, ...]:
        """Return the state of all models, the most recently used last."""
        return tuple(state.dump(model) for model, state in self._models.items())

    def load(self, learnt: tuple[Learnt, ...]) -> None:
        """Replace the state by that from `dump`; models with invalid state are left out."""
        self._models = {}
        for state in learnt[-MAX_MODELS:]:
            fit = TokenFit.of(state.weights, state.covariance)
            if fit is not None:
                self._models[state.model] = _Model(fit, state.turns, state.prompts)

    def _known(self, model: str) -> "_Model":
        """Return the model's state, marked as the most recently used, or the default."""
        state = self._models.pop(model, None)
        if state is None:
            return self._default
        self._models[model] = state
        return state

    def _created(self, model: str) -> "_Model":
        """Return the model's state, created if needed."""
        state = self._known(model)
        if state is self._default:
            if len(self._models) >= MAX_MODELS:
                del self._models[next(iter(self._models))]
            state = self._models[model] = _Model()
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
    __slots__ = ("_by_deltas", "_by_text", "_prompts", "_reports")

    def __init__(
        self,
        by_text: TokenFit | None = None,
        turns: tuple[DeltaTurn, ...] = (),
        prompts: Vector = (),
    ) -> None:
        self._by_text = by_text or TokenFit()
        self._by_deltas = DeltaFit(turns)
        self._reports = 0
        self._prompts = deque([factor for factor in prompts if factor > 0.0], PROMPTS)

    def is_due(self) -> bool:
        """Count a report and return True if it should be learnt from."""
        self._reports += 1
        return self._reports <= EAGER or self._reports % STRIDE == 0

    def wants_prompts(self) -> bool:
        """Return True if a prompt should be learnt from, which is as often as for answers."""
        return self._reports < EAGER or self._reports % STRIDE == 0

    def dump(self, model: str) -> Learnt:
        fit = self._by_text
        return Learnt(
            model, fit.weights, fit.covariance, self._by_deltas.turns, tuple(self._prompts)
        )

    def tokens(self, found: Features, deltas: int) -> float:
        by_text = self._by_text.tokens(found)
        return self._by_deltas.adjust(by_text, deltas, *_beyond_latin(found))

    def learn(self, found: Features, deltas: int, tokens: int) -> None:
        by_text = self._by_text.tokens(found)
        self._by_deltas.learn(DeltaTurn(deltas, tokens, by_text, *_beyond_latin(found)))
        self._by_text.learn(found, tokens)

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


def _beyond_latin(found: Features) -> tuple[float, float]:
    """Return the tokens outside Latin script, and those that may be parts of a character."""
    split = found.rare + found.syllables + found.others
    return found.cjk + split, split


def _is_plausible(length: int, tokens: int) -> bool:
    most = MAX_TOKENS_PER_CHAR * length + OVERHEAD_TOKENS
    return 0 < tokens <= most and 0 < length <= MAX_CHARS_PER_TOKEN * tokens
