"""Tests the settings and programs in `docs/how-to/clients`; people ran them with each client."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

from web.config import Config

HOW_TO = Path(__file__).parent.parent / "docs" / "how-to"
PAGES = sorted((HOW_TO / "clients").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_are_valid(page: Path) -> None:
    for example in blocks(page, "toml"):
        settings = tomllib.loads(example)
        if "providers" in settings:  # the others are the client's own
            assert Config.model_validate(settings).models
    for example in blocks(page, "json"):
        json.loads(example)
    for example in blocks(page, "python"):
        ast.parse(example)


def test_every_page_is_linked() -> None:
    linked = re.findall(
        r"\(how-to/clients/([\w-]+)\.md\)", (HOW_TO.parent / "index.md").read_text("utf-8")
    )
    assert sorted(linked) == [page.stem for page in PAGES]
    assert len(PAGES) == 9
