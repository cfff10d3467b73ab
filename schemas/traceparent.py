"""The trace that an event belongs to, as its producer said it (W3C Trace Context).

It is for tracing alone: no verdict and no hash hangs on it, and one that is not valid counts as absent. Names are
compared as `schemas.envelope` compares them. https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from typing import Final

from schemas.records import Headers

HEADER: Final = "traceparent"
# CloudEvents has it as an attribute: https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md
_IN_CLOUD_EVENT: Final = "ce_traceparent"
_CLOUD_EVENT: Final = "ce_specversion"
_NAMES: Final = frozenset((HEADER, _IN_CLOUD_EVENT, _CLOUD_EVENT))
# Version ff is forbidden, ids of zeros are none, and only a version after 00 may say more behind these fields.
_FORM: Final = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    rb"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.DOTALL,
)
_SAMPLED: Final = 0x01
_KNOWN_FLAGS: Final = 0x03  # sampled, and random trace id (level 2); the others must not be passed on


def traceparent_of(headers: Headers) -> str | None:
    """What the headers say, in the form of version 00: 55 characters. None where they say nothing that is valid.

    The record's own header counts before the CloudEvent's attribute: it tells of the last hop.
    """
    if not headers:
        return None
    last = {lower: value for name, value in headers if (lower := name.lower()) in _NAMES}
    own = _normalised(last.get(HEADER))
    if own is None and last.get(_CLOUD_EVENT) is not None:
        return _normalised(last.get(_IN_CLOUD_EVENT))
    return own


def is_sampled(traceparent: str) -> bool:
    """Whether the producer records the trace. `traceparent` is as `traceparent_of` returns it."""
    return bool(int(traceparent[-2:], 16) & _SAMPLED)


def ids_of(traceparent: str) -> tuple[int, int]:
    """The trace's id and the span's. `traceparent` is as `traceparent_of` returns it."""
    _, trace, span, _ = traceparent.split("-")
    return int(trace, 16), int(span, 16)


def _normalised(written: bytes | None) -> str | None:
    found = _FORM.fullmatch(written) if written is not None else None
    if found is None or (found["version"] == b"00" and found["more"] is not None):
        return None
    flags = int(found["flags"], 16) & _KNOWN_FLAGS
    return f"00-{found['trace'].decode()}-{found['span'].decode()}-{flags:02x}"
