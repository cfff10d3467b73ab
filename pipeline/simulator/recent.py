"""What was sent lately: redeliveries and contradictions are of messages that were there before."""

import json
from random import Random
from typing import Final

from pipeline.simulator.plan import Message
from pipeline.simulator.spoiling import Tree

# A bound of memory: an older message is not sent again.
_KEPT_MAX: Final = 1_024


class Recent:
    """The last messages of one topic, bounded."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._next = 0

    def __bool__(self) -> bool:
        return bool(self._messages)

    def add(self, message: Message) -> Message:
        """Remember a message that is sent, in the place of the oldest."""
        if len(self._messages) < _KEPT_MAX:
            self._messages.append(message)
        else:
            self._messages[self._next] = message
            self._next = (self._next + 1) % _KEPT_MAX
        return message

    def pick(self, dice: Random) -> Message:
        """Any of them; there must be one."""
        return self._messages[int(dice.random() * len(self._messages))]


def written_otherwise(tree: Tree, way: int) -> bytes:
    """The same content, as another program would have written it; two bits of `way` count."""
    return json.dumps(dict(reversed(tree.items())), ensure_ascii=bool(way & 1), indent=1 if way & 2 else None).encode()
