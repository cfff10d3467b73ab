"""The catalogue of reasons for which a record is quarantined: one code, one meaning, everywhere."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a record was quarantined; the value is the code in SQL, metrics and dead letters."""

    TOO_LARGE = "too_large"
    EMPTY = "empty"
    MALFORMED = "malformed"
    SCHEMA = "schema"
    TEXT = "text"
    STATUS_MISMATCH = "status_mismatch"
    TIME_OUT_OF_BOUNDS = "time_out_of_bounds"
    ORG_PAUSED = "org_paused"
    PROPERTY_UNKNOWN = "property_unknown"
    CURRENCY_MISMATCH = "currency_mismatch"
    VERSION_CONFLICT = "version_conflict"
    CORRECTION_CONFLICT = "correction_conflict"
    DATABASE_REJECTED = "database_rejected"


MEANING: dict[Reason, str] = {
    Reason.TOO_LARGE: "The record is larger than the accepted maximum.",
    Reason.EMPTY: "The record has no value (a tombstone), and the topic is not compacted.",
    Reason.MALFORMED: "The bytes are not well-formed JSON or MessagePack, or the headers announce neither.",
    Reason.SCHEMA: "A field is missing, has the wrong type, or is outside its range.",
    Reason.TEXT: "A text field contains NUL, which PostgreSQL cannot store.",
    Reason.STATUS_MISMATCH: "The event's type and the status in its data disagree.",
    Reason.TIME_OUT_OF_BOUNDS: "occurred_at, or balance_date, is too far from the time of appending to the topic.",
    Reason.ORG_PAUSED: "An operator has paused the organisation: its records are set aside until it is resumed.",
    Reason.PROPERTY_UNKNOWN: "Its property was not loaded, and FOLIO_RULES_UNKNOWN_PROPERTY lets none register itself.",
    Reason.CURRENCY_MISMATCH: "The event's currency is not the currency of its property.",
    Reason.VERSION_CONFLICT: "Another body is already booked under this version of the transaction.",
    Reason.CORRECTION_CONFLICT: "Another body is already applied under this correction_id.",
    Reason.DATABASE_REJECTED: "The database refused this record alone, after its batch was halved down to it.",
}
