"""Reads token counts in the spellings of all known servers. Pure.

Servers differ in the names of the counts, in the objects that hold them, and in whether the input
includes the tokens of a cache and the output those of reasoning. Names are compared without case
and underscores, so that `cachedContentTokenCount` and `cached_content_token_count` are one.
"""

from collections.abc import Iterator, Mapping

from actors.providers.formats.lenient_fields import number
from actors.turn.outcome import Usage

UsageFields = dict[str, object] | None
"""A usage object as it was sent; None without one."""
Counts = Mapping[str, int]
"""Token counts by kind, a key of `_SPELLINGS`; a kind that wasn't reported is missing."""

_SPELLINGS = {
    "input": "prompt_tokens input_tokens prompt_token_count input_token_count prompt_eval_count",
    "tool_input": "tool_use_prompt_token_count",
    "output": "completion_tokens output_tokens candidates_token_count output_token_count"
    " completion_token_count eval_count",
    "total": "total_tokens total_token_count",
    "cached": "cached_tokens cached_input_tokens cached_prompt_tokens num_cached_tokens"
    " prompt_cache_hit_tokens cache_hit_tokens cache_read_tokens cache_read_input_tokens"
    " cache_read_input_token_count cached_content_token_count cache_n cache_read"
    " prompt_cached_tokens cached_prompt_text_tokens cached_read_tokens",
    "written": "cache_write_tokens cache_write_input_tokens cache_write_input_token_count"
    " cache_creation_tokens cache_creation_input_tokens cache_creation_input_token_count"
    " cache_creation cache_write cached_creation_tokens cached_write_tokens",
    "written_5m": "ephemeral_5m_input_tokens claude_cache_creation_5m_tokens",
    "written_1h": "ephemeral_1h_input_tokens claude_cache_creation_1h_tokens",
    "reasoning": "reasoning_tokens reasoning_token_count reasoning_output_tokens thinking_tokens"
    " thoughts_token_count",
}
_KINDS = {
    name.replace("_", ""): kind for kind, names in _SPELLINGS.items() for name in names.split()
}
_ALL = frozenset(_SPELLINGS)
_DETAILS = _ALL - {"input", "output", "total"}
"""Kinds that are read from objects inside of a usage object."""
_OUTPUT_DETAILS = frozenset({"reasoning"})
"""Kinds in the details of the output; a cached count there is not one of the input."""


def read_counts(*objects: UsageFields) -> Counts:
    """Return the counts in these usage objects; of several spellings of one, the largest.

    Anything else in them is ignored.
    """
    counts: dict[str, int] = {}
    for fields in objects:
        for kind, count in _walk(fields or {}, _ALL):
            counts[kind] = max(count, counts.get(kind, 0))
    return counts


def _walk(fields: Mapping[str, object], allowed: frozenset[str]) -> Iterator[tuple[str, int]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            of_output = name.lower().startswith(("completion", "output", "candidates"))
            yield from _walk(value, _OUTPUT_DETAILS if of_output else _DETAILS)
        elif (kind := _KINDS.get(name.replace("_", "").lower())) in allowed:
            count = number(value)
            if count is not None and count >= 0:
                yield kind, count


def merged(old: Counts, new: Counts) -> Counts:
    """Return the counts after a later report: a zero never replaces an earlier count."""
    return {**old, **{kind: count for kind, count in new.items() if count or kind not in old}}


def usage_of(
    counts: Counts, *, excludes_cache: bool = False, excludes_reasoning: bool = False
) -> Usage | None:
    """Return the usage, or None if the count of the input or of the output is unknown.

    `excludes_cache` and `excludes_reasoning` say what the format leaves out of its counts of input
    and output. If a total proves otherwise, as with xAI's reasoning, the server is believed.
    """
    read, reasoning = counts.get("cached", 0), counts.get("reasoning", 0)
    parts = counts.get("written_5m", 0) + counts.get("written_1h", 0)
    written = max(counts.get("written", 0), parts)
    given, made, total = counts.get("input"), counts.get("output"), counts.get("total")
    if given is None or given < 0:
        return None
    given += counts.get("tool_input", 0)
    if made is None and total is not None:
        made = total - given
    if made is None or made < 0:
        return None
    rest = None if total is None else total - given - made
    cache = read + written
    if cache and _left_out(cache, given, reasoning, rest, excludes_cache):
        given += cache
    if reasoning and _left_out(reasoning, made, cache, rest, excludes_reasoning):
        made += reasoning
    if rest and rest > 0 and not cache and "reasoning" not in counts:
        # Gemini's OpenAI-compatible API counts thoughts in the total only.
        made, reasoning = made + rest, rest
    return _usage(given, made, read, written, reasoning)


def _left_out(part: int, whole: int, other: int, rest: int | None, default: bool) -> bool:
    """Return whether a count leaves out a part; `rest` is what the total has beyond the counts.

    `other` is the part that the other count may leave out too.
    """
    if part > whole or (rest and rest in (part, part + other)):
        return True
    return default and rest != 0


def _usage(given: int, made: int, read: int, written: int, reasoning: int) -> Usage:
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cached_input_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )
