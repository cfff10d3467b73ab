"""Whose rules a redrive must share: those of the lanes that are judged."""

import asyncpg

import sql
from pipeline.dead_letters.agreement import disagreements

_RULE = """
    INSERT INTO ops.lane_rules (lane, finance_position, corrections_position, past_max, future_max, default_currency,
                                default_time_zone, unknown_property, lane_count)
    VALUES ($1, 0, 0, '400 days', '1 day', $2, 'UTC', 'register', 2)
"""


async def test_a_stopped_lane_keeps_no_redrive_back(database: str) -> None:
    """It is judged by nothing until it goes on, by the rules of whoever claims it then."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(sql.query("ensure_lanes"), 2)
        for lane, currency in ((0, "EUR"), (1, "INR")):
            await connection.execute(_RULE, lane, currency)
        assert await disagreements(connection, {"default_currency": "EUR"}) == [
            "default_currency is EUR here, INR for lanes 1"
        ]
        await connection.execute("UPDATE ops.lanes SET stopped_reason = 'records have left the topic' WHERE lane = 1")
        assert await disagreements(connection, {"default_currency": "EUR"}) == []
    finally:
        await connection.close()
