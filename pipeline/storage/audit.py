"""The operators' audit: a row for whatever a command changes."""

import getpass
from collections.abc import Mapping

import asyncpg
import msgspec

import sql


def operator() -> str:
    """Who runs this command, as the operating system says."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        return "unknown"


async def audit(connection: asyncpg.Connection, who: str, command: str, detail: Mapping[str, object]) -> None:
    """Remember it, in the caller's transaction: no change without its row, and no row without its change."""
    await connection.execute(sql.query("append_operator_audit"), who, command, msgspec.json.encode(detail).decode())
