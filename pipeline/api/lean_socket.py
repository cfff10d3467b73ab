"""The server's WebSocket protocol, with bounds, and without what nobody needs once a connection stands.

Ten thousand may stand idle; and what a client says to the protocol itself is answered past the application, which can
not bound it.
"""

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

# Far above what waits for a client that reads: the application stops writing at 64 KiB, and a message has 170 at most.
_UNREAD_BYTES_MAX: Final = 1 << 20
# A message of 32 KiB in pieces; empty ones count in no bound on bytes.
_PIECES_MAX: Final = 1_000


class LeanSocket(WebSocketsSansIOProtocol):
    """Forgets the handshake when it is over: its headers, three times over, are 7 of a connection's 42 KiB.

    Whoever is accepted must have read its headers by then.
    """

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            del self.request, self.response
            self.scope["headers"] = []

    def handle_ping(self) -> None:
        """Each is answered at once: who asks and never reads would have all answers kept for him."""
        if self.transport.is_closing():
            return
        super().handle_ping()
        if self.transport.get_write_buffer_size() > _UNREAD_BYTES_MAX:
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > _PIECES_MAX:
            self.transport.abort()
