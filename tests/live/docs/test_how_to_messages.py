"""Runs the example of `docs/how-to/messages.md` and loads its configuration."""

import re
import sys
import tomllib
from pathlib import Path

import trio

from tests.support.live import harness
from web.config import Config

PAGE = (harness.ROOT / "docs" / "how-to" / "messages.md").read_text("utf-8")
MODEL = """
[models.sim]
routes = ["up/sim:tokens=20,delay=1ms"]
"""


async def test_example_prints_an_answer(tmp_path: Path, upstream: harness.Process) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    config = harness.write_config(tmp_path, upstream.port, MODEL)
    with harness.serving(tmp_path, config) as server, trio.fail_after(60):
        ran = await trio.run_process(
            [sys.executable, "-c", example],
            env={"TROUPER": f"http://127.0.0.1:{server.port}"},
            capture_stdout=True,
        )
        ((text,),) = server.rows("SELECT text FROM messages WHERE role = 'assistant'")
    assert ran.stdout.decode() == f"{text}\nend_turn 20\n"


def test_configuration_is_valid() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert Config.model_validate(tomllib.loads(example)).models.keys() == {"claude-sonnet-4-5", "*"}
