"""How many tokens an answer is, where its provider does not say; learnt from those that finished.

Two fits for each upstream model: by the text (`token_fit`) and by the deltas that it came in
(`delta_fit`). Each counts as much as its record deserves, so that a model that sends a token per
delta is counted by its deltas, and one that sends whole answers by their text.
"""

from collections import deque
from statistics import median

from msgspec import Struct

from actors.estimating.delta_fit import DeltaFit, DeltaTurn
from actors.estimating.prompt_text import PromptText, is_all_text, prompt_text
from actors.estimating.script_features import Features, features
from actors.estimating.token_fit import Matrix, TokenFit, Vector
from actors.providers.base import ModelCall

MAX_MODELS = 256
"""Models that are remembered; for a new one that which was not used for longest is forgotten."""

TOKENS_PER_MESSAGE = 4
"""What chat templates wrap each message in."""

PROMPTS = 16
"""Prompts of a model that are remembered."""

ENOUGH_PROMPTS = 3
LEAST_PROMPT = 100
"""Tokens of a prompt that says how much its template adds; a short one is all template."""

MOST_ADDED = 2.0
"""Factor by which what was learnt changes the estimate of a prompt at most, either way."""

EAGER = 48
"""Figures of a model that are all learnt from; after them …"""
STRIDE = 8
"""… one in so many, since learning costs as much as ten tokens."""

MAX_CHARS_PER_TOKEN = 64
MAX_TOKENS_PER_CHAR = 4
OVERHEAD_TOKENS = 64
"""Beyond those of a text: what wraps an answer and the calls of tools in it."""


class Learnt(Struct, frozen=True):
    """What is known of one model: an estimator's state, to be kept and loaded again."""

    model: str
    weights: Vector
    covariance: Matrix
    turns: tuple[DeltaTurn, ...]
    prompts: Vector
    """Reported tokens of prompts, relative to what their texts were estimated at."""


class Estimator:
    """Estimates for all upstream models of a process. No I/O, no clock, no randomness."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}
        self._untaught = _Model()

    def estimate(self, model: str, text: str, deltas: int = 0) -> int:
        """About how many tokens `text` is, which came in `deltas`; 0 where that is not known.

        0 only where the text is empty. By the text alone it never shrinks when text is appended,
        up to the length that is looked at whole; nor does it when there are more deltas.
        """
        if not text:
            return 0
        return max(1, round(self._used(model).tokens(features(text), deltas)))

    def learn(self, model: str, text: str, deltas: int, tokens: int) -> None:
        """A turn has finished: its whole `text` was `tokens` by the provider's own count.

        Both are of the same things: with reasoning that nobody sees, take its tokens off. A figure
        that cannot be true of the text teaches nothing, and neither does an explicit zero.
        """
        if _is_plausible(len(text), tokens) and self._taught(model).is_due():
            self._taught(model).learn(features(text), deltas, tokens)

    def estimate_input(self, model: str, call: ModelCall) -> int:
        """About how many tokens the prompt is; images and files are not counted."""
        return round(self._used(model).prompt_tokens(prompt_text(call), len(call.messages)))

    def learn_input(self, model: str, call: ModelCall, tokens: int) -> None:
        """The provider has counted the prompt, cached tokens included."""
        if not self._used(model).wants_prompts():
            return
        prompt = prompt_text(call)
        if _is_plausible(prompt.size, tokens) and is_all_text(call):
            self._taught(model).learn_prompt(prompt, len(call.messages), tokens)

    def dump(self) -> tuple[Learnt, ...]:
        """All that was learnt, the model used last at the end."""
        return tuple(known.dump(model) for model, known in self._models.items())

    def load(self, learnt: tuple[Learnt, ...]) -> None:
        """Know what `dump` gave and nothing else; models whose state does not fit are left out."""
        self._models = {}
        for state in learnt[-MAX_MODELS:]:
            fit = TokenFit.of(state.weights, state.covariance)
            if fit is not None:
                self._models[state.model] = _Model(fit, state.turns, state.prompts)

    def _used(self, model: str) -> "_Model":
        known = self._models.pop(model, None)
        if known is None:
            return self._untaught
        self._models[model] = known
        return known

    def _taught(self, model: str) -> "_Model":
        known = self._used(model)
        if known is self._untaught:
            if len(self._models) >= MAX_MODELS:
                del self._models[next(iter(self._models))]
            known = self._models[model] = _Model()
        return known


class _Model:
    __slots__ = ("_by_deltas", "_by_text", "_prompts", "_told")

    def __init__(
        self,
        by_text: TokenFit | None = None,
        turns: tuple[DeltaTurn, ...] = (),
        prompts: Vector = (),
    ) -> None:
        self._by_text = by_text or TokenFit()
        self._by_deltas = DeltaFit(turns)
        self._told = 0
        self._prompts = deque([factor for factor in prompts if factor > 0.0], PROMPTS)

    def is_due(self) -> bool:
        """Whether to learn from this figure; one that knows much looks at a few only."""
        self._told += 1
        return self._told <= EAGER or self._told % STRIDE == 0

    def wants_prompts(self) -> bool:
        """Whether to learn from a prompt; as often as from answers."""
        return self._told < EAGER or self._told % STRIDE == 0

    def dump(self, model: str) -> Learnt:
        fit = self._by_text
        return Learnt(
            model, fit.weights, fit.covariance, self._by_deltas.turns, tuple(self._prompts)
        )

    def tokens(self, found: Features, deltas: int) -> float:
        by_text = self._by_text.tokens(found)
        return self._by_deltas.improved(by_text, deltas, *_beyond_latin(found))

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
    """Tokens in other scripts, and those of them that may be parts of a character."""
    split = found.rare + found.syllables + found.others
    return found.cjk + split, split


def _is_plausible(length: int, tokens: int) -> bool:
    most = MAX_TOKENS_PER_CHAR * length + OVERHEAD_TOKENS
    return 0 < tokens <= most and 0 < length <= MAX_CHARS_PER_TOKEN * tokens
