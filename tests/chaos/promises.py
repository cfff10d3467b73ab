"""What a trial may find: a promise that was broken, or a fault that touched nobody."""


class PromiseBroken(Exception):
    """Something that must hold did not; the message says what, and how it was instead."""


class DidNotFire(Exception):
    """The fault left no trace: whatever was seen after it proves nothing."""
