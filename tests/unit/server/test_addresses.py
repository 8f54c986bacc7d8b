"""Whose connection it is: proxies are believed if they are trusted, and nobody else (H10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from fastcollab.server.addresses import TrustedProxies, plain_address

PROXIES = ["10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.7"]


def client(peer: str, *lines: str, header: str = "x-forwarded-for", networks: list[str] = PROXIES) -> str:
    headers = CIMultiDict([(header.title(), line) for line in lines])
    return TrustedProxies(networks, header).client(peer, headers)  # type: ignore[arg-type]


def test_without_trusted_proxies_nobody_is_believed_H10() -> None:
    assert client("10.0.0.1", "198.51.100.1", networks=[]) == "10.0.0.1"
    assert "10.0.0.1" not in TrustedProxies()


@pytest.mark.parametrize(
    ("peer", "lines", "expected"),
    [
        ("198.51.100.9", ["198.51.100.1"], "198.51.100.9"),  # no proxy: whatever it says
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("192.0.2.7", ["198.51.100.1"], "198.51.100.1"),
        ("192.0.2.8", ["198.51.100.1"], "192.0.2.8"),
        # What its client has written stands further left.
        ("10.0.0.1", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.99, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.99", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["<script>, , 198.51.100.1"], "198.51.100.1"),
        # Through several proxies.
        ("10.0.0.1", ["203.0.113.5, 198.51.100.1, 10.0.0.3", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
        # Ports, and the forms of addresses.
        ("10.0.0.1", ["198.51.100.1:5000"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:5000"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["2001:DB8:0::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:ffff::1", ["198.51.100.1"], "198.51.100.1"),
        # A proxy that does not say for whom answers for its clients itself.
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.256"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1 198.51.100.2"], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_who_is_no_trusted_proxy_H10(peer: str, lines: list[str], expected: str) -> None:
    assert client(peer, *lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["for=198.51.100.1"], "198.51.100.1"),
        (["For=198.51.100.1; proto=https ;by=10.0.0.1"], "198.51.100.1"),
        (['proto=https;for="[2001:db8::1]:5000"'], "2001:db8::1"),
        (['for="198.51.100.1:5000"'], "198.51.100.1"),
        (["for=127.0.0.1, for=198.51.100.1, for=10.0.0.2"], "198.51.100.1"),
        (["for=127.0.0.1", "for=198.51.100.1"], "198.51.100.1"),
        (['for="127.0.0.1, for=198.51.100.1'], "198.51.100.1"),  # a client's quote closes nothing
        (["for=unknown"], "10.0.0.1"),
        (["for=_hidden"], "10.0.0.1"),
        (["proto=https"], "10.0.0.1"),
        (["for=198.51.100.1;"], "10.0.0.1"),
        (["198.51.100.1"], "10.0.0.1"),
    ],
)
def test_the_same_in_the_form_of_rfc_7239_H10(lines: list[str], expected: str) -> None:
    assert client("10.0.0.1", *lines, header="forwarded") == expected


def test_only_the_header_that_the_proxies_write_is_looked_at_H10() -> None:
    for believed, forged in (("x-forwarded-for", "forwarded"), ("forwarded", "x-forwarded-for")):
        headers = CIMultiDict({forged: "for=127.0.0.1" if forged == "forwarded" else "127.0.0.1"})
        assert TrustedProxies(PROXIES, believed).client("10.0.0.1", headers) == "10.0.0.1"  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=30), max_size=4), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_what_a_client_writes_never_counts_H10(forged: list[str], header: str) -> None:
    said = "198.51.100.1" if header == "x-forwarded-for" else "for=198.51.100.1"
    assert client("10.0.0.1", *forged, said, header=header) == "198.51.100.1"
    assert client("10.0.0.1", ", ".join([*forged, said]), header=header) == "198.51.100.1"


@given(st.text(max_size=50))
def test_an_address_that_is_none(text: str) -> None:
    address = plain_address(text)
    assert address is None or plain_address(str(address)) == address
