"""Finish words of all known servers, by their meaning. Pure.

Relays pass on the words of the APIs behind them, so every format reads all of them. They are
compared without case, underscores and hyphens: `MAX_TOKENS`, `max_tokens` and `maxTokens` are one.
"""

import re
from enum import Enum, auto

from actors.turn.outcome import Reason


class Unfinished(Enum):
    """Meanings of finish words that are not finish reasons."""

    NOT_YET = auto()
    """A placeholder: the answer is not finished."""
    FAILED = auto()
    """The server gave the answer up, so what has arrived of it is not the whole."""


Meaning = Reason | Unfinished

_WORDS: dict[Meaning, str] = {
    Reason.STOP: "stop stopped stop_token stop_sequence stop_string_found end end_turn end_of_turn"
    " end_of_text endoftext eos eos_token eos_found eot complete completed finish finished done"
    " normal success load unload stop_criteria_met stop_string end_filter",
    Reason.LENGTH: "length length_limit length_limit_reached limit max_length max_tokens"
    " max_new_tokens max_output_tokens max_completion_tokens max_predicted_tokens_reached"
    " token_limit model_length context_length context_length_exceeded context_length_reached"
    " context_window_exceeded model_context_window_exceeded error_limit continuation truncated"
    " incomplete repetition loop_detected time_limit context max_len max_context max_context_length"
    " max_seq_len maximum_tokens token_limit_reached",
    Reason.PAUSE_TURN: "pause_turn",
    Reason.TOOL_CALLS: "tool_calls tool_call tool_use tools tool function_call function_calls",
    Reason.CONTENT_FILTER: "content_filter content_filtered content_filtering content_policy"
    " content_policy_violation policy_violation filter filtered filtered_content moderation"
    " moderated sensitive flagged blocked refusal refused error_toxic guardrail_intervened"
    " guardrails safety recitation blocklist prohibited_content spii model_armor escalation"
    " image_safety image_prohibited_content image_recitation content_moderation safety_violation"
    " unsafe toxic toxicity harmful prohibited censored copyright",
    Unfinished.NOT_YET: "null none not_finished in_progress unspecified",
    Unfinished.FAILED: "error abort aborted cancel canceled cancelled user_cancel user_cancelled"
    " user_stopped interrupted failed failure timeout timed_out network_error internal_error"
    " server_error engine_error overloaded insufficient_system_resource model_unloaded"
    " malformed_function_call malformed_model_output malformed_response malformed_tool_use"
    " unexpected_tool_call too_many_tool_calls missing_thought_signature language other"
    " image_other no_image model_error api_error upstream_error connection_error disconnected"
    " preempted out_of_memory rate_limit rate_limited overloaded_error bad_request"
    " malformed_tool_call invalid_tool_call tool_use_failed",
}
_MEANINGS = {
    word.replace("_", ""): meaning for meaning, words in _WORDS.items() for word in words.split()
}
_ENUM = re.compile(r"^(?:(?:finish|stop)reason\.?|reason)(?=.)")
"""Name of the type before its member, as in `FinishReason.STOP` and `FINISH_REASON_STOP`."""
_WRITTEN = frozenset(word for words in _WORDS.values() for word in words.split())


def meaning_of(word: str) -> Meaning | None:
    """Return the meaning of a finish word, or None if it is unknown; an empty one says nothing."""
    squeezed = _ENUM.sub("", word.replace("_", "").replace("-", "").lower())
    return _MEANINGS.get(squeezed) if squeezed else Unfinished.NOT_YET


def met_stop_sequence(said: object) -> str | None:
    """Return the stop sequence that a server says was met, or None.

    vLLM and SGLang have the sequence, or the number of a token, in a field in which other servers
    have a finish word.
    """
    return said if isinstance(said, str) and said and said not in _WRITTEN else None
