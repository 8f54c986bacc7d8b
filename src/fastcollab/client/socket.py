"""A WebSocket as a client needs it: whole messages in, closes in order. The only module that knows picows' frames.

picows hands over frames as they come. This listener puts fragments together, checks what picows leaves unchecked (no
reserved bit but that of a compressed message, no continuation of nothing, UTF-8, the length of the whole message),
answers a close frame and ignores what follows one. Pings are answered by picows itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from typing import Protocol

import picows

from fastcollab.client.compression import MessageCompression, TooLong
from fastcollab.errors import CloseCode, ConnectionClosed

NO_STATUS = 1005  # what RFC 6455 calls a close frame without a code


class MessageHandler(Protocol):
    """What is told about a socket's messages. An exception from it closes the connection with 1002."""

    def text_received(self, payload: bytes) -> None: ...

    def binary_received(self, payload: bytes) -> None: ...

    def connection_closed(self, socket: MessageSocket, reason: ConnectionClosed) -> None: ...


class MessageSocket(picows.WSListener):
    """One connection; ``max_size`` bounds a message, in bytes. ``compression`` is set if it was agreed upon."""

    compression: MessageCompression | None = None

    def __init__(self, handler: MessageHandler, max_size: int) -> None:
        self._handler = handler
        self._max_size = max_size
        self._transport: picows.WSTransport | None = None
        self._fragments: list[bytes] = []
        self._fragments_size = 0
        self._fragments_type = picows.WSMsgType.CONTINUATION
        self._fragments_packed = False
        self._closed: ConnectionClosed | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def is_writable(self) -> bool:
        """False while the operating system takes no more data, or after the end: what is not urgent had better wait."""
        return self._closed is None and self._writable.is_set()

    async def drain(self) -> None:
        """Waits until the peer has read enough that more may be sent."""
        await self._writable.wait()

    def send_text(self, payload: bytes) -> None:
        transport = self._open_transport()
        packed = None if self.compression is None else self.compression.compress(payload)
        transport.send(picows.WSMsgType.TEXT, payload if packed is None else packed, rsv1=packed is not None)

    def send_binary(self, payload: bytes) -> None:
        self._open_transport().send(picows.WSMsgType.BINARY, payload)

    def close(self, code: int, reason: str = "") -> None:
        """Sends a close frame, unless one was sent; the peer's answer ends the connection."""
        if self._closed is not None:
            return
        self._closed = ConnectionClosed(code, reason)
        if self._transport is not None:
            # A close frame has room for 123 bytes of reason, which must be whole characters.
            message = reason.encode()[:123].decode(errors="ignore")
            self._transport.send_close(picows.WSCloseCode(code), message)

    def abort(self) -> None:
        """Ends the connection without waiting for anybody; nothing is received any more."""
        if self._closed is None:
            self._closed = ConnectionClosed(CloseCode.ABNORMAL, "the connection was given up")
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport
        if self._closed is not None:  # before it was open
            transport.disconnect()

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        kind = frame.msg_type
        if kind is picows.WSMsgType.CLOSE:
            self._close_received(transport, frame)
        elif self._closed is not None or kind is picows.WSMsgType.PONG:
            return
        elif frame.rsv2 or frame.rsv3 or (frame.rsv1 and not self._may_be_packed(kind)):
            self._fail(CloseCode.PROTOCOL_ERROR, "a reserved bit is set")
        elif kind is not picows.WSMsgType.CONTINUATION and frame.fin and not self._fragments:
            self._message_received(kind, frame.get_payload_as_bytes(), bool(frame.rsv1))
        else:
            self._fragment_received(kind, frame)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        if self._closed is None:
            self._closed = self._lost(transport)
        self._writable.set()
        self._handler.connection_closed(self, self._closed)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _lost(self, transport: picows.WSTransport) -> ConnectionClosed:
        """Why the connection ended, if neither side closed it by way of this class."""
        if transport.close_handshake is None:
            return ConnectionClosed(CloseCode.ABNORMAL, "the connection was lost")
        # picows closed it because of a frame that breaks the protocol, and keeps the error for whoever waits for it.
        sent = transport.close_handshake.sent

        async def retrieve_error() -> None:
            with contextlib.suppress(picows.WSError):
                await transport.wait_disconnected()

        self._retrieval = asyncio.get_running_loop().create_task(retrieve_error())
        return ConnectionClosed(int(sent.code.value), sent.reason) if sent else ConnectionClosed(CloseCode.ABNORMAL)

    def _open_transport(self) -> picows.WSTransport:
        if self._closed is not None:
            raise ConnectionClosed(self._closed.code, self._closed.reason)
        if self._transport is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "not connected")
        return self._transport

    def _close_received(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if self._closed is None:
            code = int(frame.get_close_code().value) or NO_STATUS
            self._closed = ConnectionClosed(code, frame.get_close_reason() or "")
            transport.send_close(picows.WSCloseCode.OK if code == NO_STATUS else picows.WSCloseCode(code))
        transport.disconnect()

    def _fragment_received(self, kind: picows.WSMsgType, frame: picows.WSFrame) -> None:
        if (kind is picows.WSMsgType.CONTINUATION) is not bool(self._fragments):
            self._fail(CloseCode.PROTOCOL_ERROR, "fragments out of order")
            return
        if not self._fragments:
            self._fragments_type = kind
            self._fragments_packed = bool(frame.rsv1)
        self._fragments.append(frame.get_payload_as_bytes())
        self._fragments_size += frame.payload_size
        if self._fragments_size > self._max_size:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message is longer than {self._max_size} bytes")
        elif frame.fin:
            message = b"".join(self._fragments)
            self._fragments.clear()
            self._fragments_size = 0
            self._message_received(self._fragments_type, message, self._fragments_packed)

    def _may_be_packed(self, kind: picows.WSMsgType) -> bool:
        return self.compression is not None and kind in (picows.WSMsgType.TEXT, picows.WSMsgType.BINARY)

    def _message_received(self, kind: picows.WSMsgType, message: bytes, packed: bool) -> None:
        try:
            if packed:
                assert self.compression is not None
                message = self.compression.inflate(message, self._max_size)
            if kind is picows.WSMsgType.TEXT:
                self._handler.text_received(message)
            else:
                self._handler.binary_received(message)
        except TooLong:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message is longer than {self._max_size} bytes")
        except zlib.error:
            self._fail(CloseCode.INVALID_TEXT, "a compressed message is corrupt")
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_TEXT, "a text message is not UTF-8")
        except Exception as error:
            self._fail(CloseCode.PROTOCOL_ERROR, "a message that cannot be understood")
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a message from the gateway cannot be understood", "exception": error}
            )

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Closes because of what the peer did, without counting on its answer."""
        self.close(code, reason)
        if self._transport is not None:
            self._transport.disconnect()
