"""Runs the programs of `docs/how-to/responses.md` in sequence against a simulated model."""

import re
import sys
from pathlib import Path

import trio

from tests.support.live import harness

PAGE = harness.ROOT / "docs" / "how-to" / "responses.md"
MODELS = """
[providers.simulated]
format = "simulated"
[models.sim]
routes = ["simulated/sim"]
"""


async def test_programs_run_as_printed(tmp_path: Path, upstream: harness.Process) -> None:
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
    texts = [text for (text,) in rows if text]
    assert ran.stdout.decode() == "".join(f"{text}\n" for text in texts)
    assert len(texts) == 7
    assert str(texts[2]).startswith("The tool says: It rains.")
