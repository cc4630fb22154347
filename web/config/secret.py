"""Secrets in the configuration: written out, or better referred to as `env:NAME`, `file:PATH`."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_serializer, model_validator

MASK = "***"


class Secret(BaseModel):
    """A secret as it was written and what it resolved to when the configuration was loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str | None
    """`env:NAME` or `file:PATH`; None where the secret itself was written."""
    value: SecretStr | None
    """None where the reference leads to nothing: an unset variable, no such file, no content."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, written: object) -> object:
        if isinstance(written, str):
            return cls._resolved(written)
        if isinstance(written, Secret):
            return written
        raise ValueError("must be a string: env:NAME, file:PATH or the secret itself")

    @classmethod
    def parse(cls, written: str) -> Self:
        """Resolve what stands in the configuration, now."""
        return cls.model_validate(written)

    @staticmethod
    def _resolved(written: str) -> dict[str, str | None]:
        kind, colon, name = written.partition(":")
        if colon and kind == "env":
            return {"reference": written, "value": os.environ.get(name, "").strip() or None}
        if colon and kind == "file":
            return {"reference": written, "value": _content(Path(name)) or None}
        return {"reference": None, "value": written.strip() or None}

    @property
    def problem(self) -> str | None:
        """Why there is no value, in words that name the reference; None where there is one."""
        if self.value is not None:
            return None
        if self.reference is None:
            return "is empty"
        kind, _, name = self.reference.partition(":")
        where = "environment variable" if kind == "env" else "file"
        return f"{where} {name} is missing, unreadable or empty"

    @model_serializer
    def shown(self) -> str:
        """Fit for a screen: the reference, or `***`."""
        return self.reference or MASK


def _content(path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
