"""`python -m tests.attacks.bystanders URL QUIET DURING`: rooms that should not notice what is done to the gateway.

Two rooms of ten move their cursors 60 times a second, with the tokens that come on standard input, one a line. For
QUIET seconds nobody else is there; then `quiet` is printed, the attack begins, and for DURING seconds the same is
measured again. What was found is printed as one JSON object.
"""

from __future__ import annotations

import json
import socket
import sys
from contextlib import ExitStack
from urllib.parse import urlsplit

from fastcollab.bench._load import Fleet
from fastcollab.bench.connect import Dial, close_politely, open_connections
from fastcollab.bench.report import Percentiles

ROOMS, MEMBERS = 2, 10
FIRST_USER = 1_000_001
_WARM_UP = 0.5
_BEGINNING = 0.3  # of an attack, in which it finds its speed
_DRAIN = 3.0


def main() -> None:
    url, quiet_seconds, during_seconds = urlsplit(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    fleet = Fleet(ROOMS, MEMBERS, 60.0, FIRST_USER, 0.002)
    dials = [
        Dial(url.path, sys.stdin.readline().strip(), FIRST_USER + index, f"quiet-{index // MEMBERS}")
        for index in range(ROOMS * MEMBERS)
    ]
    with ExitStack() as cleanup:

        def attach(index: int, connection: socket.socket, received: bytes, _: object) -> None:
            cleanup.callback(close_politely, connection)
            fleet.attach(index, connection.fileno(), received)

        assert url.hostname is not None and url.port is not None
        open_connections(
            (url.hostname, url.port),
            dials,
            subprotocol="fastcollab.v1.batch",
            on_open=attach,
            while_waiting=fleet.poll,
        )
        fleet.drive(_WARM_UP)
        fleet.start_measuring()
        fleet.drive(quiet_seconds)
        quiet = Percentiles.of(fleet.latency)
        print("quiet", flush=True)
        fleet.drive(_BEGINNING)
        fleet.start_measuring()
        fleet.drive(during_seconds)
        during = Percentiles.of(fleet.latency)
        fleet.drain(_DRAIN)
        faults = fleet.finals_missing() + fleet.stale + fleet.foreign + fleet.malformed + fleet.disconnects
        print(json.dumps({"quiet": quiet.p99, "during": during.p99, "faults": faults + fleet.error_messages}))


if __name__ == "__main__":
    main()
