"""What is agreed upon in `Sec-WebSocket-Extensions`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import parse_extension

from fastcollab.server.extensions import CompressionTerms, negotiate

DEFAULT = CompressionTerms()
HISTORY = CompressionTerms(server_context_takeover=True, client_context_takeover=True)
SMALL = CompressionTerms(window_bits=10)
NONE = "; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("lines", "own", "answer"),
    [
        (["permessage-deflate"], DEFAULT, NONE),
        (["Permessage-Deflate"], DEFAULT, NONE),
        (["permessage-deflate; client_max_window_bits"], DEFAULT, NONE),
        (["permessage-deflate;client_max_window_bits=15"], DEFAULT, NONE),
        (["permessage-deflate; client_max_window_bits=8"], DEFAULT, NONE + "; client_max_window_bits=8"),
        (['permessage-deflate ; client_max_window_bits = "1\\1"'], DEFAULT, NONE + "; client_max_window_bits=11"),
        (["permessage-deflate; server_max_window_bits=15"], DEFAULT, NONE + "; server_max_window_bits=15"),
        (["permessage-deflate; server_max_window_bits=9"], DEFAULT, NONE + "; server_max_window_bits=9"),
        (["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], DEFAULT, NONE),
        # Whoever likes history gets it, unless the client declines.
        (["permessage-deflate"], HISTORY, ""),
        (["permessage-deflate; server_no_context_takeover"], HISTORY, "; server_no_context_takeover"),
        (["permessage-deflate; client_no_context_takeover"], HISTORY, "; client_no_context_takeover"),
        # Smaller windows than the client asks for; its own only if it knows how.
        (["permessage-deflate"], SMALL, NONE + "; server_max_window_bits=10"),
        (["permessage-deflate; server_max_window_bits=12"], SMALL, NONE + "; server_max_window_bits=10"),
        (["permessage-deflate; server_max_window_bits=9"], SMALL, NONE + "; server_max_window_bits=9"),
        (
            ["permessage-deflate; client_max_window_bits"],
            SMALL,
            NONE + "; server_max_window_bits=10; client_max_window_bits=10",
        ),
        # The first one that can be accepted.
        (["permessage-deflate; server_max_window_bits=8, permessage-deflate"], DEFAULT, NONE),
        (["permessage-deflate; server_max_window_bits=8", "permessage-deflate; x, permessage-deflate"], DEFAULT, NONE),
        (
            ["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
            DEFAULT,
            NONE + "; server_max_window_bits=10",
        ),
        (["permessage-bzip2, x-webkit-deflate-frame; a=b, permessage-deflate"], DEFAULT, NONE),
        ([", ,permessage-deflate ,"], DEFAULT, NONE),
        (['x; a="b, permessage-deflate; c", permessage-deflate'], DEFAULT, NONE),
    ],
)
def test_offers_that_are_accepted_Z1_Z2(lines: list[str], own: CompressionTerms, answer: str) -> None:
    agreement = negotiate(lines, own)
    assert agreement is not None
    assert agreement.header == "permessage-deflate" + answer


@pytest.mark.parametrize(
    "parameters",
    [
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=8",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=+9",
        "server_max_window_bits=9.0",
        'server_max_window_bits=""',
        'server_max_window_bits="16"',
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=٩",
        "server_no_context_takeover=1",
        'client_no_context_takeover=""',
        "server_no_context_takeover; server_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=10",
        "server_max_window_bits=10; server_max_window_bits=10",
        "unknown",
        "server_no_context_takeover; unknown=1",
        "Server_No_Context_Takeover",
    ],
)
def test_offers_that_are_declined_Z1(parameters: str) -> None:
    assert negotiate([f"permessage-deflate; {parameters}"], DEFAULT) is None
    if "٩" not in parameters:  # malformed: then nothing is offered
        following = negotiate([f"permessage-deflate; {parameters}, permessage-deflate"], DEFAULT)
        assert following is not None
        assert following.header == "permessage-deflate" + NONE


@pytest.mark.parametrize(
    "line",
    [
        "",
        " , ",
        "x-webkit-deflate-frame",
        "permessage-deflate2",
        "; permessage-deflate",
        "permessage-deflate;",
        "permessage-deflate; =1",
        'permessage-deflate; client_max_window_bits="10',
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate server_no_context_takeover",
        "permessage-deflate; a b",
        "permessage-deflate; client_max_window_bits; \x00",
    ],
)
def test_headers_that_offer_nothing_Z1(line: str) -> None:
    assert negotiate([line], DEFAULT) is None


OFFERS = st.builds(
    CompressionTerms, server_context_takeover=st.booleans(), client_context_takeover=st.booleans(),
    window_bits=st.integers(9, 15),
)  # fmt: skip


@given(
    OFFERS,
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(8, 15),
    st.none() | st.integers(9, 15) | st.just(True),
)
def test_what_is_agreed_is_what_another_implementation_understands_Z2(
    own: CompressionTerms, server_no: bool, client_no: bool, server_bits: int | None, client_bits: int | bool | None
) -> None:
    factory = ClientPerMessageDeflateFactory(server_no, client_no, server_bits, client_bits)
    offer = "; ".join(
        ["permessage-deflate"]
        + [name if value is None else f"{name}={value}" for name, value in factory.get_request_params()]
    )
    agreement = negotiate([offer], own)
    assert (agreement is None) == (server_bits == 8)
    if agreement is None:
        return
    [(_, parameters)] = parse_extension(agreement.header)
    theirs = factory.process_response_params(parameters, [])
    assert theirs.remote_no_context_takeover is not agreement.server_context_takeover
    assert theirs.local_no_context_takeover is not agreement.client_context_takeover
    assert theirs.remote_max_window_bits == agreement.server_window_bits <= min(server_bits or 15, own.window_bits)
    assert theirs.local_max_window_bits == agreement.client_window_bits


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=255))))
def test_any_header_is_judged_Z1(lines: list[str]) -> None:
    negotiate(lines, DEFAULT)


@given(st.lists(st.sampled_from([*' ;,="\\', "permessage-deflate", "client_max_window_bits", "x", "9", "16"])))
def test_any_header_of_these_words_is_judged_as_elsewhere_Z1(words: list[str]) -> None:
    """Whatever is agreed to is well formed for another implementation."""
    line = "".join(words)
    if negotiate([line], DEFAULT) is not None:
        assert any(name == "permessage-deflate" for name, _ in parse_extension(line.strip()))
