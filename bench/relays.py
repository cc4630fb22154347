"""The relays under comparison, and the commands that start them in front of the mock upstream."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from bench.filler import fill
from bench.processes import REPO, python
from bench.surfaces import Name

YARDSTICKS = ("yardstick", "unbounded")
"""Names of the relays by whose figures the others are divided."""
AGAINST = "against"
"""Name of the relay that is another checkout of Trouper, compared round by round."""


class Setup(Struct, frozen=True, kw_only=True):
    """Parameters of a relay: ports, and a directory for its files."""

    port: int
    upstream_port: int
    directory: Path
    against: Path | None = None
    """Another checkout of Trouper, for the relay `against`."""

    @property
    def upstream(self) -> str:
        """Base URL of the mock upstream."""
        return f"http://127.0.0.1:{self.upstream_port}/v1"


class Relay(Struct, frozen=True, kw_only=True):
    """One relay under test."""

    name: str
    about: str
    command: Callable[[Setup], list[str]] | None
    """Function that returns the start command; None sends the load directly to the upstream."""
    surface: Name = "chat"
    """API that receives the requests."""
    prefix: str = ""
    """Prefix of the upstream's model name in requests."""
    ready: str = "/"
    """A path that has any response once the relay is ready."""
    patience_s: float = 20.0
    """Time to wait until the relay is ready."""
    journal: bool = False
    """True if the relay stores turns, which can be compared with the traffic."""
    by_default: bool = True
    """True if the relay is measured without being named in `--relays`."""


def _yardstick(setup: Setup) -> list[str]:
    port = str(setup.port)
    return python("-m", "bench.yardstick", "--port", port, "--upstream", setup.upstream)


def _unbounded(setup: Setup) -> list[str]:
    port = str(setup.port)
    return python("-m", "bench.yardstick_unbounded", "--port", port, "--upstream", setup.upstream)


def _trouper(setup: Setup) -> list[str]:
    return _serve(setup, REPO)


def _against(setup: Setup) -> list[str]:
    assert setup.against is not None, "`bench.run` demands --against for this relay"
    return _serve(setup, setup.against)


def _serve(setup: Setup, checkout: Path) -> list[str]:
    config = setup.directory / "trouper.toml"
    config.write_text(
        f'[server]\nbind = "127.0.0.1:{setup.port}"\n'
        f'[store]\nurl = "sqlite:///{setup.directory / "trouper.db"}"\n'
        f'[providers.bench]\nformat = "openai-chat"\nbase_url = "{setup.upstream}"\n'
    )
    # Not the `trouper` command: run the source of the checkout, whatever is installed.
    code = f"import sys; sys.path.insert(0, {str(checkout)!r}); from web.cli import main; main()"
    return python("-c", code, "serve", "--config", str(config))


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
    """Return the path of LiteLLM's proxy, next to this interpreter or on PATH, or None."""
    sibling = Path(sys.executable).with_name("litellm")
    return str(sibling) if sibling.exists() else shutil.which("litellm")


def installed() -> list[str]:
    """Return the names of the default relays that can be started here."""
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
            about="the same, with no limit on the connections of its pool",
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
        Relay(
            name=AGAINST,
            about="the same from the checkout that --against names",
            command=_against,
            prefix="bench/",
            ready="/health",
            journal=True,
            by_default=False,
        ),
        *(
            Relay(
                name=f"trouper-{surface}",
                about=f"the same, requests to {path}",
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
            about="the same with a million ended turns in the database",
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
"""The relays by name, in the order of the table."""
