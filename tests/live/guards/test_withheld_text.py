"""Text that a guard withholds is in no file of the server, however the turn ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import Call, ended_turn, open_chat, open_turn_events, turn
from tests.support.live.sse_frames import text_of

SETTINGS = """
drain_s = 0
grace_s = 0
[journal]
flush_ms = 20
[guards]
output = ["secrets"]
mode = "{mode}"
{more}
"""
SHOWN = "The house is open to everyone today.\n"
CODEWORD = "q7RtZ2mKx9".join(["ghp_W4", "vB8nLs3Yd", "Xc1Hf5"])
"""Text that looks like an access token."""
REMARK = f"The token is {CODEWORD} for today.\n"
CLEAN = "The token is [secret removed] for today.\n"
REST = "Come in and look around, it is free. " * 30
ECHO = "up/v:echo,first=0,delay=5ms"


def config(directory: Path, upstream: Process, mode: str, more: str = "") -> Path:
    return write_config(directory, upstream.port, SETTINGS.format(mode=mode, more=more))


@asynccontextmanager
async def asking(server: Server, text: str, model: str = ECHO) -> AsyncIterator[Call]:
    messages = [{"role": "user", "content": text}]
    async with open_chat(server, model, messages=messages) as call:
        assert await call.head() == 200
        yield call


def files_with(directory: Path, word: str) -> list[str]:
    """Return the files of the server, but for the simulated provider's, that contain a word."""
    files = [path for path in directory.iterdir() if path.is_file()]
    return [path.name for path in files if word.encode() in path.read_bytes()]


async def test_text_that_was_shown_and_replaced_is_gone(tmp_path: Path, upstream: Process) -> None:
    with serving(tmp_path, config(tmp_path, upstream, "buffer_first")) as server:
        async with asking(server, SHOWN + REMARK + REST) as call:

            async def is_stored() -> bool:
                return bool(files_with(tmp_path, CODEWORD))

            while CODEWORD not in text_of(await call.frames(0)):
                assert await call.read_more()
            await until(is_stored)  # the journal has it while the answer may still be fine
            frames = await call.all_frames()
        assert CODEWORD in text_of(frames)
        assert b'"finish_reason":"content_filter"' in call.body
        ended = await ended_turn(server, call.turn_id)
        assert ended["text"] == SHOWN + CLEAN + REST
        async with open_turn_events(server, call.turn_id) as again:
            assert text_of(await again.all_frames()) == ended["text"]
        async with open_turn_events(server, call.turn_id, last_id="openai-chat:3") as again:
            assert CODEWORD.encode() not in await again.read_all()
    assert files_with(tmp_path, "everyone today")
    assert files_with(tmp_path, CODEWORD) == []


@pytest.mark.parametrize("mode", ["buffer_all", "hold_back"])
async def test_kill_while_text_is_held_leaves_nothing_of_it(
    mode: str, tmp_path: Path, upstream: Process
) -> None:
    path = config(tmp_path, upstream, mode)
    slow = "up/v:echo,first=0,delay=5ms,stall=12"
    with serving(tmp_path, path) as server:
        async with asking(server, SHOWN + REMARK + REST, slow) as call:
            if mode == "hold_back":
                await call.frames(2)
            else:
                await call.read_more()
            server.kill()
        assert files_with(tmp_path, CODEWORD) == []
    with serving(tmp_path, path) as server:
        found = await turn(server, call.turn_id)
        assert (found["status"], found["reason"]) == ("failed", "owner_lost")
        assert CODEWORD not in str(found)
    assert files_with(tmp_path, CODEWORD) == []


async def test_original_is_kept_for_audit_if_wanted(tmp_path: Path, upstream: Process) -> None:
    path = config(tmp_path, upstream, "hold_back", "keep_original = true")
    with serving(tmp_path, path) as server:
        async with asking(server, SHOWN + REMARK + REST) as call:
            assert CODEWORD not in text_of(await call.all_frames())
        ended = await ended_turn(server, call.turn_id)
        verdicts = ended["verdicts"]
        assert isinstance(verdicts, list)
        assert [one["original"] for one in verdicts if "original" in one] == [CODEWORD]
