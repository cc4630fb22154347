"""Secrets in the configuration: given literally, or by reference (`env:NAME`, `file:PATH`)."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_serializer, model_validator

MASK = "***"


class Secret(BaseModel):
    """A secret with its reference and the value that it had when the configuration was loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str | None
    """`env:NAME` or `file:PATH`; None if the secret was given literally."""
    value: SecretStr | None
    """The secret; None if the variable is unset, or the file is unreadable or empty."""

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
        """Resolve a secret as the configuration gives it, now."""
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
        """The reason for a missing value, naming the reference; None if the secret has a value."""
        if self.value is not None:
            return None
        if self.reference is None:
            return "is empty"
        kind, _, name = self.reference.partition(":")
        source = "environment variable" if kind == "env" else "file"
        return f"{source} {name} is missing, unreadable or empty"

    @model_serializer
    def shown(self) -> str:
        """Return the reference, or `***`: safe to print."""
        return self.reference or MASK


def _content(path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
