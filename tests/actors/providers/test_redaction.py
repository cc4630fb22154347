"""Tests of redaction: secrets and addresses are removed from messages, and nothing else."""

import time

import pytest

from actors.providers.redaction import MAX_MESSAGE, scrubber

SCRUB = scrubber(["topsecret", None], ["llm-7"])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Incorrect API key provided: sk-proj-abc123DEF", "Incorrect API key provided: [secret]"),
        ("key sk-****cdef is wrong", "key [secret] is wrong"),
        ("key topsecret is wrong", "key [secret] is wrong"),
        ("header was 'Bearer abcdef123'", "header was 'Bearer [secret]'"),
        ("see https://platform.openai.com/account?x=1 now", "see [address] now"),
        ("dial tcp 10.0.0.7:8000: refused", "dial tcp [address]: refused"),
        ("no route to fe80::1", "no route to [address]"),
        ("connect to [::1]:80 failed", "connect to [address] failed"),
        ("host localhost:11434 is down", "host [address] is down"),
        ("backend llm-7 and LLM-7:80 are down", "backend [address] and [address] are down"),
        ("vllm.prod.svc is down", "[address] is down"),
        ("token eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc-d", "token [secret]"),
    ],
)
def test_secrets_and_addresses(text: str, clean: str) -> None:
    assert SCRUB(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 8192 tokens.",
        "Invalid value for messages.0.content: expected a string",
        "gpt-4.1-mini does not support 'n' > 1; use llm-70b or allm-7",
        "task-force risk-free at 50 % since 12:30:45; std::be",
        "messages[1].content[0].type must be one of text, image_url.",
    ],
)
def test_ordinary_words_are_kept(text: str) -> None:
    assert SCRUB(text) == text


@pytest.mark.parametrize("unit", ["a", "a-", "a.", "1.", ":", "a:", "sk-", "http://", "eyJ", " "])
def test_hostile_message_is_scrubbed_quickly(unit: str) -> None:
    text = unit * 1_000_000
    began = time.process_time()
    assert len(SCRUB(text)) <= MAX_MESSAGE
    assert time.process_time() - began < 0.1
