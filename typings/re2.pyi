"""Types of the part of google-re2 that `actors.guards.patterns` uses; the package has none."""

from collections.abc import Iterator

class error(Exception): ...  # noqa: N801

class Options:
    max_mem: int
    log_errors: bool
    case_sensitive: bool
    never_capture: bool
    dot_nl: bool

class _Match:
    def span(self, group: int = 0) -> tuple[int, int]: ...

class _Regexp:
    def match(self, text: bytes) -> _Match | None: ...
    def search(self, text: bytes) -> _Match | None: ...
    def finditer(self, text: bytes) -> Iterator[_Match]: ...

def compile(pattern: str, options: Options | None = None) -> _Regexp: ...
