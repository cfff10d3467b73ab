"""Every error of the pipeline, grouped by what the caller does next.

    PipelineError
      x Transient      try again
        - DatabaseUnavailable   the database refused, was cut off, or timed out
          - BatchTooSlow        one of our own bounds on the transaction struck: try half of it
          - PoolExhausted       every connection of a bounded pool was in use for too long
        - BrokerUnavailable     Kafka refused, was cut off, or timed out
        - CacheUnavailable      Redis refused, was cut off, or timed out
        - CdnUnavailable        the CDN refused, was cut off, or timed out
        - OutcomeUnknown        a COMMIT was sent and its answer was lost
        - FenceLost             another worker has claimed the lane: give it up and rejoin
        - Overloaded            as many as may wait here already do
        - Stalled               records wait and nothing has moved for too long: rejoin
        - NotAsked              a guard of ours did not let the call through: the part has seen nothing of it
          - CircuitOpen         the part was away when last asked: do without it, or ask again later
          - RateLimited         the part is given so many calls a second, and no more
          - BulkheadFull        the part works on as many calls as it may, and as many more wait
      x Permanent      quarantine it
        - BatchRejected         the database refused the data: halve the batch down to the culprit
      x ReadRefused    ask for something else
        - NotSettled            what is recorded may still change there: ask for an earlier instant
        - HistoryArchived       versions from then have left the store: restore their months
      x Fatal          stop and say why
        - SettingsRefused       a setting is missing or malformed
        - SchemaMismatch        the database is not at the migration that this code needs
        - TopicMismatch         a topic is missing or has not the shape that the lanes need
        - OffsetExpired         the next position of a lane has left the topic
        - TopicAltered          a topic was recreated or refilled under its old name
        - ArchiveRefused        an archive could not be written, or is not what it was when it was written
        - StoreDamaged          the event store does not hold what it took in
        - StackFailed           a part of the local stack could not be started

A record that breaks a rule is no exception but a value: `schemas.codec` returns it with its reason code,
so that its neighbours go on.
"""


class PipelineError(Exception):
    """Base of everything that the pipeline raises on purpose."""


class Transient(PipelineError):
    """Trying again may succeed; nothing was lost."""


class DatabaseUnavailable(Transient):
    """PostgreSQL refused, was cut off, or timed out before COMMIT was sent."""


class BatchTooSlow(DatabaseUnavailable):
    """A bound on the transaction struck before COMMIT was sent; half of the batch may fit."""


class PoolExhausted(DatabaseUnavailable):
    """Every connection of a bounded pool was in use for longer than a read may wait for one."""


class BrokerUnavailable(Transient):
    """Kafka refused, was cut off, or timed out."""


class CacheUnavailable(Transient):
    """Redis refused, was cut off, or timed out."""


class CdnUnavailable(Transient):
    """The CDN refused, was cut off, or timed out."""


class OutcomeUnknown(Transient):
    """COMMIT was sent and its answer was lost; the lane row tells which it was."""


class FenceLost(Transient):
    """Another worker has claimed one of the lanes; what we hold of them is void."""


class Stalled(Transient):
    """Records wait, and nothing has moved for longer than the watchdog allows."""


class Overloaded(Transient):
    """As many callers as may wait here already do; nothing was begun for this one."""


class NotAsked(Transient):
    """A guard of ours did not let the call through; the part has seen nothing of it (docs/resilience.md)."""


class CircuitOpen(NotAsked):
    """The part was away when it was last asked, and is left alone for a while: `seconds` more, at most."""

    def __init__(self, message: str, seconds: float = 0) -> None:
        super().__init__(message)
        self.seconds = seconds


class RateLimited(NotAsked):
    """The part is given so many calls a second, and this one's turn did not come in time."""


class BulkheadFull(NotAsked):
    """The part works on as many calls as it may, and as many others wait, or this one waited for too long."""


class Permanent(PipelineError):
    """Trying again cannot succeed; the record goes to the dead letters."""


class BatchRejected(Permanent):
    """The database refused the data of a batch (SQLSTATE classes 22 and 23)."""


class ReadRefused(PipelineError):
    """What was asked for cannot be answered; the message says what can."""


class NotSettled(ReadRefused):
    """An instant past the safe watermark: something may still be recorded before it."""


class HistoryArchived(ReadRefused):
    """The store no longer holds what was recorded by then; a restored month brings it back."""


class Fatal(PipelineError):
    """Going on would be wrong; an operator must act on the message."""


class SettingsRefused(Fatal):
    """A setting is missing or malformed; the message names it and the accepted form."""


class SchemaMismatch(Fatal):
    """The database is not at the migration that this code needs."""


class TopicMismatch(Fatal):
    """A topic is missing, or its shape is not what the lanes need."""


class OffsetExpired(Fatal):
    """The next position of a lane is no longer in the topic."""


class TopicAltered(Fatal):
    """The topic is not the one that the positions were taken from."""


class ArchiveRefused(Fatal):
    """An archive could not be written, or is not what it was when it was written."""


class StoreDamaged(Fatal):
    """An event of the store is not what its content hash says: nothing may be rebuilt from it."""


class StackFailed(Fatal):
    """A part of the local stack could not be started, stopped or reached."""
