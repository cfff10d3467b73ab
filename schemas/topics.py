"""The topics by name, and what each must be so that the promises hold."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

FINANCE_EVENTS: Final = "finance-events"
BALANCE_CORRECTIONS: Final = "balance-corrections"
REALTIME_UPDATES: Final = "realtime-updates"
DEAD_LETTERS: Final = "finance-dead-letters"
CHAIN_HEADS: Final = "chain-heads"


class Feed(StrEnum):
    """The topics that are consumed, by the names they have without a prefix. Partition p of each makes lane p."""

    EVENTS = FINANCE_EVENTS
    CORRECTIONS = BALANCE_CORRECTIONS


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic and the settings that matter to us; all topics have as many partitions as there are lanes."""

    name: str
    config: dict[str, str] = field(default_factory=dict)


# LogAppendTime: occurred_at is judged against the broker's clock, which a producer cannot set.
# Never compacted: every event counts, and the state of a balance comes from the database.
_LOG: Final = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
_DAY_MS: Final = 24 * 60 * 60 * 1000


def topics(prefix: str = "") -> tuple[TopicSpec, ...]:
    """Every topic of a stream; `prefix` stands before each name."""
    return (
        TopicSpec(prefix + FINANCE_EVENTS, _LOG | {"retention.ms": str(30 * _DAY_MS)}),
        TopicSpec(prefix + BALANCE_CORRECTIONS, _LOG | {"retention.ms": str(30 * _DAY_MS)}),
        TopicSpec(prefix + REALTIME_UPDATES, _LOG | {"retention.ms": str(3 * _DAY_MS)}),
        # A dead letter is as large as the largest record (a broker's default is 1 MiB), and says why on top of it.
        TopicSpec(prefix + DEAD_LETTERS, _LOG | {"retention.ms": str(30 * _DAY_MS), "max.message.bytes": str(2 << 20)}),
        # A witness outside of the database: three months in which a rewriting shows. A head has 300 bytes.
        TopicSpec(prefix + CHAIN_HEADS, _LOG | {"retention.ms": str(90 * _DAY_MS)}),
    )
