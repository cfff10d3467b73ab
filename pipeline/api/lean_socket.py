"""The server's WebSocket protocol, without what nobody needs once a connection stands: ten thousand may stand idle."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class LeanSocket(WebSocketsSansIOProtocol):
    """Forgets the handshake when it is over: its headers, three times over, are 7 of a connection's 42 KiB.

    Whoever is accepted must have read its headers by then.
    """

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            del self.request, self.response
            self.scope["headers"] = []
