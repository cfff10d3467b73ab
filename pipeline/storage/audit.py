"""The operators' audit: a row for whatever a command changes."""

import os
import pwd
import socket
from collections.abc import Mapping

import asyncpg
import msgspec

import sql


def operator() -> str:
    """Who runs this command, and where. Not getpass.getuser(): that believes the environment."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:  # no such user in a container
        user = f"uid {uid}"
    return f"{user}@{socket.gethostname()}"


async def audit(connection: asyncpg.Connection, who: str, command: str, detail: Mapping[str, object]) -> None:
    """Remember it, in the caller's transaction: no change without its row, and no row without its change."""
    await connection.execute(sql.query("append_operator_audit"), who, command, msgspec.json.encode(detail).decode())
