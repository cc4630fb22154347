"""Reads settings from environment variables, `TROUPER_SECTION__KEY`."""

import os
import re
from collections.abc import Mapping
from typing import cast

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from web.config.config import Config

Tree = dict[str, object]
_PREFIX = "TROUPER_"


class _Variables(EnvSettingsSource):
    """Pydantic's source, except that only values that look like a table or list are JSON.

    So `TROUPER_MODELS__X__PRICE={"input":1}` works, and text that is not JSON reaches the
    validator of its key, which has the better error message.
    """

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: object) -> object:
        """Decode JSON tables and lists, and return any other text unchanged."""
        if not (isinstance(value, str) and value.lstrip()[:1] in ("[", "{")):
            return value
        try:
            return cast("object", super().decode_complex_value(field_name, field, value))
        except ValueError:
            return value


def environment(beneath: Mapping[str, object]) -> Tree:
    """Return the variables as a tree that can be merged over `beneath`, the tree of the file.

    A variable cannot spell every name of a model or provider. Its parts are therefore compared
    with the file's names ignoring case, and with `_` for anything but letters and digits.
    Unknown sections are kept, so that they are reported. Variables without `__` are ignored:
    Kubernetes sets `TROUPER_PORT` for a service called `trouper`.
    """
    known = _Variables(Config, env_ignore_empty=True)()
    return _aligned({**_unknown_sections(), **known}, beneath)


def _unknown_sections() -> Tree:
    found: Tree = {}
    for name, value in os.environ.items():
        section, nested, key = name.removeprefix(_PREFIX).lower().partition("__")
        if name.startswith(_PREFIX) and nested and section not in Config.model_fields:
            found[section] = {key: value}
    return found


def _aligned(tree: Tree, beneath: Mapping[str, object]) -> Tree:
    names = {_plain(name): name for name in beneath}
    aligned: Tree = {}
    for key, value in tree.items():
        name = names.get(_plain(key), key)
        below = beneath.get(name)
        aligned[name] = (
            _aligned(value, below) if isinstance(value, dict) and isinstance(below, dict) else value
        )
    return aligned


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())
