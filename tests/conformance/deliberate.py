"""The cases that the gateway fails on purpose, and why. A case that is not here must pass."""

DELIBERATE: dict[str, str] = {
    "7.1.2": (
        "Two close frames in one piece are answered with 1002 in place of 1000. picows parses one frame ahead, and "
        "answers the second close before the gateway is told of the first. The connection ends as it should, and a "
        "client that keeps to RFC 6455 sends nothing behind its close frame (5.5.1)."
    ),
}
