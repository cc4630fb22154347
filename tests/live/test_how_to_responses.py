"""The programs of `docs/how-to/responses.md`, one behind the other, against the simulated model."""

import re
import sys
from pathlib import Path

import trio

from tests.live import harness

PAGE = harness.ROOT / "docs" / "how-to" / "responses.md"
MODELS = """
[providers.simulated]
format = "simulated"
[models.sim]
routes = ["simulated/sim"]
"""


async def test_the_programs_run_as_they_stand(tmp_path: Path, upstream: harness.Process) -> None:
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    config = harness.write_config(tmp_path, upstream.port, MODELS)
    with harness.serving(tmp_path, config) as server:
        with trio.fail_after(30):
            ran = await trio.run_process(
                [sys.executable, "-c", "\n".join(programs)],
                env={"TROUPER": f"http://127.0.0.1:{server.port}"},
                capture_stdout=True,
            )
        rows = server.rows("SELECT text FROM messages WHERE role = 'assistant' ORDER BY id")
    said = [text for (text,) in rows if text]
    assert ran.stdout.decode() == "".join(f"{text}\n" for text in said)
    assert len(said) == 6
    assert str(said[2]).startswith("The tool says: It rains.")
