"""The relays that are compared: how each is started in front of the mock upstream."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from bench.filler import fill
from bench.processes import python
from bench.surfaces import Name

YARDSTICKS = ("yardstick", "unbounded")
"""The relays that others are divided by."""


class Setup(Struct, frozen=True, kw_only=True):
    """What a relay needs to know: ports, and a directory for its files."""

    port: int
    upstream_port: int
    directory: Path

    @property
    def upstream(self) -> str:
        """The mock upstream's base URL."""
        return f"http://127.0.0.1:{self.upstream_port}/v1"


class Relay(Struct, frozen=True, kw_only=True):
    """One relay under test."""

    name: str
    about: str
    command: Callable[[Setup], list[str]] | None
    """None: no relay at all, the load goes straight to the upstream."""
    surface: Name = "chat"
    """Which of its APIs is asked."""
    prefix: str = ""
    """What goes before the upstream's model name in requests."""
    ready: str = "/"
    """A path that answers, with whatever, once the relay serves."""
    patience_s: float = 20.0
    journal: bool = False
    """It keeps turns, which can be compared with what was sent."""
    by_default: bool = True
    """Whether it takes part without being asked for."""


def _yardstick(setup: Setup) -> list[str]:
    port = str(setup.port)
    return python("-m", "bench.yardstick", "--port", port, "--upstream", setup.upstream)


def _unbounded(setup: Setup) -> list[str]:
    port = str(setup.port)
    return python("-m", "bench.yardstick_unbounded", "--port", port, "--upstream", setup.upstream)


def _trouper(setup: Setup) -> list[str]:
    config = setup.directory / "trouper.toml"
    config.write_text(
        f'[server]\nbind = "127.0.0.1:{setup.port}"\n'
        f'[store]\nurl = "sqlite:///{setup.directory / "trouper.db"}"\n'
        f'[providers.bench]\nformat = "openai-chat"\nbase_url = "{setup.upstream}"\n'
    )
    # The source beside this file, whatever may be installed.
    return python("-c", "from web.cli import main; main()", "serve", "--config", str(config))


def _trouper_full(setup: Setup) -> list[str]:
    fill(setup.directory / "trouper.db")
    return _trouper(setup)


def _litellm(setup: Setup) -> list[str]:
    config = setup.directory / "litellm.yaml"
    config.write_text(
        'model_list:\n  - model_name: "*"\n    litellm_params:\n      model: "openai/*"\n'
        f'      api_base: "{setup.upstream}"\n      api_key: "sk-bench"\n'
    )
    command = litellm_command()
    assert command is not None
    return [command, "--config", str(config), "--host", "127.0.0.1", "--port", str(setup.port)]


def litellm_command() -> str | None:
    """Where LiteLLM's proxy is installed, beside this interpreter or on the path."""
    beside = Path(sys.executable).with_name("litellm")
    return str(beside) if beside.exists() else shutil.which("litellm")


def installed() -> list[str]:
    """Names of the relays that can be started here, and take part unasked."""
    missing = {name for name, relay in RELAYS.items() if not relay.by_default}
    if any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn")):
        missing |= set(YARDSTICKS)
    if litellm_command() is None:
        missing.add("litellm")
    return [name for name in RELAYS if name not in missing]


_OTHERS: dict[Name, str] = {"responses": "/v1/responses", "messages": "/v1/messages"}

RELAYS = {
    relay.name: relay
    for relay in (
        Relay(name="direct", about="no relay: the upstream itself", command=None),
        Relay(
            name="yardstick",
            about="bare FastAPI + uvicorn + httpx, raw bytes, nothing stored",
            command=_yardstick,
        ),
        Relay(
            name="unbounded",
            about="the same, with no bound on the connections of its pool",
            command=_unbounded,
        ),
        Relay(
            name="trouper",
            about="`trouper serve` with its defaults and a new SQLite database",
            command=_trouper,
            prefix="bench/",
            ready="/health",
            journal=True,
        ),
        *(
            Relay(
                name=f"trouper-{surface}",
                about=f"the same, asked by {path}",
                command=_trouper,
                surface=surface,
                prefix="bench/",
                ready="/health",
                journal=True,
                by_default=False,
            )
            for surface, path in _OTHERS.items()
        ),
        Relay(
            name="trouper-1m",
            about="the same beside a million finished turns",
            command=_trouper_full,
            prefix="bench/",
            ready="/health",
            journal=True,
            by_default=False,
        ),
        Relay(
            name="litellm",
            about="LiteLLM proxy, one worker, no database",
            command=_litellm,
            ready="/health/liveliness",
            patience_s=90.0,
        ),
    )
}
"""In the order in which they are printed."""
