"""Fuzzes compressed messages (permessage-deflate): what compressors make, what is nearly that, and anything else.

The gateway's part is an echo that compresses every message, with and without history. The property:

* What a compressor has made of a message within the limit comes back as that message, also when it is in fragments.
* Of whatever else is sent, the gateway makes what zlib makes of it, or it refuses it: corrupt data with 1007, and what
  is too long with an error; or, since the history is lost then, with 1009.
* What the gateway compresses, zlib inflates to what was sent.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass

import atheris

from fastcollab.testing.echo import EchoGateway
from fuzz import edge
from fuzz.edge import BINARY, CLOSE, CONTINUATION, TEXT
from fuzz.values import Source

LIMIT = 4096
INVALID, TOO_BIG = 1007, 1009
TAIL = b"\0\0\xff\xff"
LAST_BLOCK = b"\x03\0"
COMPRESSED = 0b100
EXTENSIONS = "Sec-WebSocket-Extensions"
OFFERS = (
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover; server_max_window_bits=10",
)
STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)


class Inflater:
    """zlib, as RFC 7692 has it used: for one direction of a connection."""

    def __init__(self, keeps_history: bool) -> None:
        self._keeps_history = keeps_history
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    def inflate(self, data: bytes, limit: int = sys.maxsize - 1, ending: bytes = TAIL) -> bytes | None:
        """The message; None: it is longer than `limit`. Raises zlib.error if the data are corrupt."""
        if not self._keeps_history:
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        message, rest = b"", data + ending
        while True:
            message += self._inflater.decompress(rest, limit + 1 - len(message))
            if len(message) > limit:
                return None
            if not self._inflater.eof:
                return message
            rest = self._inflater.unused_data
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            if not rest:
                return message


@dataclass(frozen=True, slots=True)
class Agreement:
    server_keeps_history: bool
    client_keeps_history: bool
    client_window_bits: int

    @classmethod
    def read(cls, head: bytes) -> Agreement:
        """What the gateway has agreed to in its answer."""
        lines = head.decode().split("\r\n")
        (header,) = (value for name, _, value in (line.partition(": ") for line in lines) if name == EXTENSIONS)
        name, *parameters = (each.strip() for each in header.split(";"))
        assert name == "permessage-deflate", header
        given = dict(each.partition("=")[::2] for each in parameters)
        return cls(
            "server_no_context_takeover" not in given,
            "client_no_context_takeover" not in given,
            int(given.get("client_max_window_bits", 15)),
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of the client. `plain`: the message that it was made of, if a compressor has made it."""

    opcode: int
    data: bytes
    compressed: bool
    plain: bytes | None


class Compressor:
    """A client's, with the history that it may use."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._compressor: zlib._Compress | None = None

    def compress(self, source: Source, message: bytes) -> bytes:
        compressor = self._compressor
        if compressor is None or not self._agreement.client_keeps_history:
            window_bits = max(9, self._agreement.client_window_bits - source.below(3))
            level, memory = source.choice([6, 0, 1, 9]), 1 + source.below(9)
            compressor = zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory, source.choice(STRATEGIES))
        self._compressor = compressor
        cut = source.below(len(message) + 1)
        data = compressor.compress(message[:cut])
        data += compressor.flush(source.choice([zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]))
        data += compressor.compress(message[cut:])
        if source.maybe(6):
            # With a last block: its end is inside a byte, so that a byte of an empty block follows (RFC 7692, 7.2.3.4).
            self._compressor = None
            return data + compressor.flush(zlib.Z_FINISH) + b"\0"
        data += compressor.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(TAIL)


@atheris.instrument_func
def make_message(source: Source) -> bytes:
    text = (source.text(12) * source.choice([1, 1, 1, 20, 400])).encode()
    size = source.choice([len(text), LIMIT - 1, LIMIT, LIMIT + 1, 2**20]) if source.maybe(6) else len(text)
    return text if size == len(text) else (text + b"a" * size)[:size]


@atheris.instrument_func
def spoil(source: Source, data: bytes) -> bytes:
    kind = source.below(5)
    if kind == 0:
        return data[: source.below(len(data) + 1)]
    if kind == 1 and data:
        at = source.below(len(data))
        return data[:at] + bytes([data[at] ^ 1 << source.below(8)]) + data[at + 1 :]
    if kind == 2:
        return data + source.data(6)
    if kind == 3:
        # Many streams in one message.
        return source.choice([b"\x03\0", b"\x01\0\0\xff\xff", data]) * source.choice([2, 63, 64, 65, 300])
    return source.data(40)


@atheris.instrument_func
def make_all(source: Source, compressor: Compressor) -> list[Sent]:
    found = []
    for _ in range(6):
        if source.used_up():
            break
        opcode = source.choice([TEXT, BINARY])
        plain: bytes | None = make_message(source)
        assert plain is not None
        if source.maybe(6):
            found.append(Sent(opcode, plain[:LIMIT], False, plain[:LIMIT]))
            continue
        data = compressor.compress(source, plain)
        if source.maybe(3):
            data, plain = spoil(source, data), None
        found.append(Sent(opcode, data, True, plain))
        if plain is None:
            break  # who spoils a message has spoilt the history, too
    return found


@atheris.instrument_func
def frames_of(source: Source, sent: Sent) -> bytes:
    """The message in one frame or some."""
    rsv = COMPRESSED if sent.compressed else 0
    cuts = sorted(source.below(len(sent.data) + 1) for _ in range(source.below(4))) if source.maybe(3) else []
    parts = [sent.data[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent.data)], strict=True)]
    last = len(parts) - 1
    return b"".join(
        edge.frame(CONTINUATION if index else sent.opcode, part, fin=index == last, rsv=0 if index else rsv)
        for index, part in enumerate(parts)
    )


@atheris.instrument_func
def judge(sent: list[Sent], heard: list[edge.Frame], agreement: Agreement) -> None:
    """Raises AssertionError unless each message was answered, up to one that ends the connection."""
    client = Inflater(agreement.client_keeps_history)
    server = Inflater(agreement.server_keeps_history)
    answers = iter(heard)
    for message in sent:
        answer = next(answers, None)
        assert answer is not None, ("a message was not answered", message)
        try:
            due = client.inflate(message.data, LIMIT) if message.compressed else message.data
        except zlib.error:
            due, corrupt = None, True
        else:
            corrupt = False
        if answer.opcode == CLOSE:
            assert answer.close_code in (INVALID, TOO_BIG), answer
            not_text = due is not None and message.opcode == TEXT and not is_text(due)
            too_long = due is None and not corrupt
            assert message.plain is None or too_long or not_text, "what a compressor has made was refused"
            assert next(answers, None) is None
            return
        got = server.inflate(answer.payload) if answer.packed else answer.payload
        assert got is not None
        if b"the message is too long" in got:
            assert answer.opcode == TEXT
            assert due is None or message.plain is None, "a message was refused that is not too long"
            assert not agreement.client_keeps_history, "the history was lost"
            continue
        assert answer.opcode == message.opcode
        if message.plain is None and not agreement.client_keeps_history and got != due:
            # Data that break off within a code take in what the gateway puts behind them, and mean nothing anyhow.
            due = client.inflate(message.data, ending=TAIL + LAST_BLOCK)
        assert got == due, "another message than was sent"
        assert message.plain is None or got == message.plain
    assert next(answers, None) is None, "more was answered than was asked"


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def main() -> None:
    def make(**settings: object) -> edge.Edge:
        return edge.Edge(lambda: EchoGateway(max_message_bytes=LIMIT, **{"compression.threshold": 0}, **settings))

    history = {"compression.server_context_takeover": True, "compression.client_context_takeover": True}
    gateways = [make(), make(**history)]

    def one_input(data: bytes) -> None:
        source = Source(data)
        gateway = source.choice(gateways)
        wire = gateway.open(Sec_WebSocket_Extensions=source.choice(OFFERS))
        agreement = Agreement.read(wire.head)
        sent = make_all(source, Compressor(agreement))
        for message in sent:
            gateway.send(wire, frames_of(source, message))
        gateway.world.pass_time(1.0)
        heard = edge.frames(bytes(wire.sent))
        gateway.end(wire)
        judge(sent, heard, agreement)

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
