"""Fills a database with a million ended turns, to measure if a turn then costs more.

The turns are copies of one turn with their own ids and tenant, in all tables of turns.
"""

import sqlite3
import time
from pathlib import Path

import trio

from store.store import StoreSettings, open_store

TURNS = 1_000_000
TENANT = "tenant_filler"
_TEXT = "The second violin keeps an eye on the painted harbour. " * 4
_COMMON = f"'{TENANT}' AS tenant_id, t AS created_at"
_COPIES = {
    "turns": f"{{id}} AS id, {_COMMON}, 'own_filler' AS owner, 'completed' AS status,"
    " 'stop' AS reason, 'm' AS model, 'p' AS provider, 'u' AS upstream_model,"
    " 'attached' AS mode, 'openai-chat' AS dialect, '{{}}' AS dialect_options, 1 AS keep_text,"
    " t AS first_token_at, t AS ended_at, 40 AS last_event, 0 AS epoch",
    "messages": f"'msg_' || {{id}} AS id, {_COMMON}, {{id}} AS turn_id, 'assistant' AS role,"
    f" '{_TEXT}' AS text",
    "turn_steps": f"{{id}} AS turn_id, 1 AS number, '{TENANT}' AS tenant_id,"
    " t AS started_at, t AS ended_at, 'stop' AS finish",
    "turn_attempts": f"{{id}} AS turn_id, 1 AS step, 1 AS number, '{TENANT}' AS tenant_id,"
    " 'p' AS provider, 'u' AS upstream_model, t AS started_at, t AS ended_at,"
    " 'answered' AS result",
    "turn_segments": f"{{id}} AS turn_id, 0 AS first_seq, 40 AS last_seq, {_COMMON},"
    " zeroblob(400) AS blob",
    "usage_records": f"{{id}} AS turn_id, {_COMMON}, 10 AS input_tokens, 40 AS output_tokens,"
    " 0 AS cached_input_tokens, 0 AS reasoning_tokens, 0 AS estimated, 7 AS cost_micros",
}
_ID = "printf('turn_%026d',n)"


def fill(database: Path, turns: int = TURNS) -> None:
    """Create a database with this many turns; a million takes about a minute."""
    trio.run(_make_empty, database)
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table, columns in _COPIES.items():
            connection.execute(
                _copies(table, columns.format(id=_ID)), (turns, time.time() - turns * 0.001)
            )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _copies(table: str, columns: str) -> str:
    names = ", ".join(part.rsplit(" AS ", 1)[1] for part in columns.split(", "))
    return (
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
        f" INSERT INTO {table} ({names}) SELECT {columns}"
        " FROM (SELECT n, ? + n * 0.001 AS t FROM numbers)"
    )


async def _make_empty(database: Path) -> None:
    async with open_store(StoreSettings(url=f"sqlite:///{database}")):
        pass
