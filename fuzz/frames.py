"""Fuzzes what comes after the upgrade: frames that are good, nearly good, or no frames, in pieces of any size.

The gateway's part is an echo, and a reading of RFC 6455 in :func:`read` says what it has to answer. The property:

* Frames that keep to the protocol are answered with exactly what they ask for, in their order.
* What breaks it is answered with one close frame that has a code for it. What was sent in front of that may go
  unanswered from some point on, since picows looks ahead; if each frame comes by itself, it may not.
* Nothing follows a close frame, and the connection ends soon after.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import atheris

from fastcollab.testing.echo import EchoGateway
from fuzz import edge
from fuzz.edge import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from fuzz.values import Source

LIMIT = 1024
PROTOCOL_ERROR, INVALID, TOO_BIG = 1002, 1007, 1009
FAULTS = frozenset({PROTOCOL_ERROR, INVALID, TOO_BIG})
#: Seconds in which a connection has ended after its close handshake.
SOON = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One frame that is due. `payload` None: an error message."""

    opcode: int
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class End:
    """A close frame with one of these codes is due. `fault`: the client has broken the protocol."""

    codes: frozenset[int]
    fault: bool


class Unsettled(Exception):
    """The bytes break off in a frame that may be refused already, or when it is whole."""


def read(stream: bytes) -> Iterator[Answer | End]:
    """What a server has to send to a client that sends this. Raises :class:`Unsettled` where no more can be said."""
    at = 0
    message: bytearray | None = None
    kind = 0
    while at + 2 <= len(stream):
        first, second = stream[at : at + 2]
        final, reserved, opcode, size = first >> 7, first & 0x70, first & 0x0F, second & 0x7F
        at += 2
        control = opcode >= CLOSE
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG) or not second & 0x80:
            yield End(frozenset({PROTOCOL_ERROR}), True)
            return
        if control and (not final or size > 125):
            yield End(frozenset({PROTOCOL_ERROR}), True)
            return
        out_of_place = not control and (opcode == CONTINUATION) == (message is None)
        if size >= 126:
            width = 2 if size == 126 else 8
            if at + width > len(stream):
                break
            size, at = int.from_bytes(stream[at : at + width]), at + width
            if size < (126 if width == 2 else 2**16) or size >= 2**63:
                yield End(frozenset({PROTOCOL_ERROR, TOO_BIG}), True)
                return
            if size > 2 * LIMIT:
                yield End(
                    frozenset({PROTOCOL_ERROR, TOO_BIG}) if reserved or out_of_place else frozenset({TOO_BIG}), True
                )
                return
        if at + 4 + size > len(stream):
            if reserved or out_of_place:
                raise Unsettled
            break
        payload = edge.masked(stream[at + 4 : at + 4 + size], stream[at : at + 4])
        at += 4 + size
        if opcode == CLOSE:
            end = answer_to_close(payload)
            yield End(end.codes & FAULTS | {PROTOCOL_ERROR}, True) if reserved else end
            return
        if reserved or out_of_place:
            yield End(frozenset({PROTOCOL_ERROR}), True)
            return
        if opcode == PING:
            yield Answer(PONG, payload)
        elif opcode != PONG:
            if message is None:
                message, kind = bytearray(), opcode
            message += payload
            if final:
                whole, message = bytes(message), None
                if len(whole) > LIMIT:
                    yield Answer(TEXT, None)
                elif kind == TEXT and not is_text(whole):
                    yield End(frozenset({INVALID}), True)
                    return
                else:
                    yield Answer(kind, whole)


def answer_to_close(payload: bytes) -> End:
    if not payload:
        return End(frozenset({1000}), False)
    code = int.from_bytes(payload[:2])
    if not is_text(payload[2:]):
        return End(frozenset({PROTOCOL_ERROR, INVALID}), True)
    if len(payload) == 1 or not edge.may_be_sent(code):
        return End(frozenset({PROTOCOL_ERROR}), True)
    return End(frozenset({code}), False)


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@atheris.instrument_func
def make_frame(source: Source) -> bytes:
    opcode = source.choice([TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE, source.below(16)])
    fin = not source.maybe(4)
    kind = source.below(8)
    if kind <= 1:
        payload = source.text(8).encode()
    elif kind <= 3:
        payload = source.data(12)
    elif kind == 4:
        payload = source.choice([b"", b"\xc3", b"\x03\xe8", b"\x03\xe8\xff", b"\xed\xa0\x80", b"\x0b\xb8ok"])
    elif kind == 5:
        payload = source.below(65_536).to_bytes(2) + source.text(3).encode()
    else:
        # About each length from which on a frame is another one.
        size = source.choice([124, 125, 126, 127, LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT, 2 * LIMIT + 1])
        payload = (source.text(2).encode() or b"x") * size
        payload = payload[:size]
    frame = edge.frame(
        opcode,
        payload,
        fin=fin,
        rsv=source.below(8) if source.maybe(10) else 0,
        mask=None if source.maybe(20) else source.data(4).ljust(4, b"\0"),
    )
    if source.maybe(12):
        # A length in the form of another.
        claim = source.choice([0, 1, 125, 126, 65_535, 65_536, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
        width = source.choice([2, 8])
        length = min(claim, 2 ** (8 * width) - 1).to_bytes(width)
        frame = frame[:1] + bytes([0x80 | (126 if width == 2 else 127)]) + length + frame[2:]
    return frame


@atheris.instrument_func
def make_pieces(source: Source) -> tuple[list[bytes], bool]:
    """The bytes in the pieces in which they come, and whether each piece is one frame."""
    frames = [make_frame(source) for _ in range(1 + source.below(8))]
    if source.maybe(3):
        return frames, True
    stream = b"".join(frames) + (source.data(20) if source.maybe(4) else b"")
    return edge.pieces(source, stream), False


@atheris.instrument_func
def judge(sent: list[edge.Frame], stream: bytes, exact: bool, open_: bool) -> None:
    """Raises AssertionError unless what was sent answers the stream."""
    due: list[Answer] = []
    end: End | None = None
    settled = True
    try:
        for event in read(stream):
            if isinstance(event, End):
                end = event
            else:
                due.append(event)
    except Unsettled:
        settled = False
    close = sent.pop() if sent and sent[-1].opcode == CLOSE else None
    for frame, answer in zip(sent, due, strict=False):
        assert frame.opcode == answer.opcode, (frame, answer)
        if answer.payload is None:
            assert b"the message is too long" in frame.payload
        else:
            assert frame.payload == answer.payload, (frame, answer)
    assert len(sent) <= len(due), "more was answered than was asked"
    if end is None:
        assert close is None or not settled, "a client that keeps to the protocol was sent away"
        assert open_ or close is not None, "a connection ended without a reason"
        assert len(sent) == len(due) or close is not None, "something was not answered"
        return
    assert close is not None, "the client was not told of the end"
    assert close.close_code in end.codes | (frozenset() if exact else FAULTS), (close, end)
    assert len(sent) == len(due) or not exact, "something was not answered"
    assert not open_, "the connection has not ended"


def main() -> None:
    gateway = edge.Edge(lambda: EchoGateway(max_message_bytes=LIMIT))

    def one_input(data: bytes) -> None:
        pieces, exact = make_pieces(Source(data))
        wire = gateway.open()
        for piece in pieces:
            gateway.send(wire, piece)
        gateway.world.pass_time(SOON)
        open_ = not wire.ended
        gateway.end(wire)
        judge(edge.frames(wire.sent), b"".join(pieces), exact, open_)

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
