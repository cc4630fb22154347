"""Content parts: all spellings are normalised, and errors name the path of the bad part."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import write_part
from web.http.api_error import ApiError
from web.surfaces.content_parts import MAX_DEPTH, MAX_PARTS, MAX_URL, flat_parts, is_base64

URL = "https://example.org/a.png"
DATA = "data:image/png;base64,iVBORw0KGgo="
TEXT = {"type": "text", "text": "a"}


def flat(*content: object) -> list[object]:
    return [write_part(part) for part in flat_parts(list(content), "c")]


def refused(*content: object) -> tuple[str | None, str | None, str]:
    with pytest.raises(ApiError) as caught:
        flat(*content)
    info = caught.value.info
    assert info.status == 400
    assert info.param is not None
    assert info.message.startswith(info.param)
    return info.param, info.code, info.message


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("a", TEXT),
        (TEXT, TEXT),
        ({"type": "input_text", "text": "a"}, TEXT),
        ({"type": "input_text", "text": "a", "cache_control": {}}, TEXT | {"cache_control": {}}),
        ({"type": "output_text", "text": "a", "annotations": [], "logprobs": []}, TEXT),
        ({"type": "refusal", "refusal": "no"}, {"type": "refusal", "refusal": "no"}),
        (
            {"type": "image_url", "image_url": URL},
            {"type": "image_url", "image_url": {"url": URL}},
        ),
        (
            {"type": "image_url", "image_url": {"url": URL, "detail": "low", "x": 1}},
            {"type": "image_url", "image_url": {"url": URL, "detail": "low", "x": 1}},
        ),
        (
            {"type": "input_image", "image_url": DATA, "detail": "original"},
            {"type": "image_url", "image_url": {"url": DATA, "detail": "original"}},
        ),
        (
            {"type": "input_image", "image_url": URL, "file_id": None, "x": 1},
            {"type": "image_url", "image_url": {"url": URL}, "file_id": None, "x": 1},
        ),
        (
            {"type": "input_image", "image_url": {"url": URL}},
            {"type": "image_url", "image_url": {"url": URL}},
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_each_spelling_is_normalised(given: object, plain: object) -> None:
    assert flat(given) == [plain]
    assert flat(plain) == [plain], "a normalised part must stay as it is"


def test_nested_lists_are_flattened() -> None:
    assert flat("a", [["b", {"type": "input_text", "text": "c"}], []], TEXT) == [
        {"type": "text", "text": letter} for letter in "abca"
    ]


PART, KIND, BAD_URL = "invalid_content_part", "unsupported_content_type", "invalid_image_url"
MISSING = "missing_required_parameter"


def image(url: object, **more: object) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


@pytest.mark.parametrize(
    ("part", "path", "code"),
    [
        (None, "c[1]", PART),
        (5, "c[1]", PART),
        ([["a", 5]], "c[1][0][1]", PART),
        ({}, "c[1].type", KIND),
        ({"type": None}, "c[1].type", KIND),
        ({"type": ["text"]}, "c[1].type", KIND),
        ({"type": "input_file", "file_id": "f"}, "c[1].type", KIND),
        ({"type": "input_audio"}, "c[1].type", KIND),
        ({"type": "input_text"}, "c[1].text", MISSING),
        ({"type": "output_text", "text": 5}, "c[1].text", PART),
        ({"type": "input_image"}, "c[1].image_url", MISSING),
        ({"type": "input_image", "file_id": "f"}, "c[1].file_id", PART),
        ({"type": "input_image", "image_url": URL, "detail": "ultra"}, "c[1].detail", PART),
        ({"type": "input_image", "image_url": [URL]}, "c[1].image_url", PART),
        ({"type": "image_url", "image_url": "nowhere"}, "c[1].image_url", BAD_URL),
        (image(None), "c[1].image_url.url", MISSING),
        (image(5), "c[1].image_url.url", PART),
        (image(URL, detail="ultra"), "c[1].image_url.detail", PART),
        (image(URL, detail=["low"]), "c[1].image_url.detail", PART),
        *[
            (image(url), "c[1].image_url.url", BAD_URL)
            for url in (
                "",
                "a.png",
                "ftp://x/y",
                "http://",
                "https:///a",
                "https://?a",
                "https://exa mple.org",
                "https://example.org/a\n",
                "javascript:alert(1)",
                "http://x/" + "a" * MAX_URL,
                "data:",
                "data:text/html;base64,aGFsbG8=",
                "data:image/png,abcd",
                "data:image/;base64,aGFsbG8=",
                "data:image/png;base64,",
                "data:image/png;base64,aGFsbG8",
                "data:image/png;base64,aGFsbG8==",
                "data:image/png;base64,aGFs bG8=",
                "data:image/png;base64,aGFs_-8=",
                "data:image/png;base64,=aGFsbG8",
            )
        ],
    ],
    ids=lambda value: str(value)[:60],
)
def test_invalid_part_is_rejected_with_its_path(part: object, path: str, code: str) -> None:
    assert refused("a", part)[:2] == (path, code)


@pytest.mark.parametrize(
    "url",
    [
        "HTTP://x",
        "http://127.0.0.1:1/a?b#c",
        "https://[::1]/",
        "http://x/" + "a" * (MAX_URL - 9),
        "DATA:image/PNG;BASE64,iVBORw0KGgo=",
        "data:image/svg+xml;charset=utf-8;base64,aGFsbG8h",
    ],
)
def test_valid_image_urls_are_accepted(url: str) -> None:
    assert flat(image(url)) == [image(url)]


def test_errors_name_the_limits() -> None:
    path, code, message = refused(*["a"] * (MAX_PARTS + 1))
    assert (path, code) == ("c", PART)
    assert str(MAX_PARTS) in message
    deep: object = "a"
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert flat(deep) == [TEXT]
    _, code, message = refused([deep])
    assert code == PART
    assert f"at most {MAX_DEPTH} deep" in message
    assert f"at most {MAX_URL} characters" in refused(image("http://x/" + "a" * MAX_URL))[2]


def test_parts_of_nested_lists_count_together() -> None:
    assert "at most" in refused(["a"] * 600, ["a"] * 600)[2]


@given(st.binary(min_size=1, max_size=300))
def test_base64_is_recognised(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert is_base64(text)
    assert is_base64("data:," + text, 6)
    assert not is_base64(text[:-1])
    assert not is_base64(text + "=")
    assert not is_base64("é" + text[1:])


@pytest.mark.parametrize("at", [0, 1_000, -1, -1_000])
def test_long_base64_is_checked_near_both_ends(at: int) -> None:
    text = base64.b64encode(random.Random(1).randbytes(300_000)).decode()
    assert is_base64(text)
    letters = list(text)
    letters[at] = "!"
    assert not is_base64("".join(letters))


def test_long_text_that_is_not_base64_is_detected() -> None:
    assert not is_base64("a" * 5_000 + "<svg " * 100_000 + "a" * 5_000)
