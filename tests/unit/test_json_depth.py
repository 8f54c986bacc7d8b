"""The look at the brackets before anything is parsed (X4), and that all after it bears what it lets through."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tests.builders import envelope

from fastcollab import messages, ot
from fastcollab._json_depth import is_deeper
from fastcollab.checksums import checksum
from fastcollab.errors import InvalidMessage

values = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('[]{}"\\,é🦆a'), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.sampled_from('[]{}"\\'), max_size=4), inner, max_size=3)
    ),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(value=values, ascii_only=st.booleans())
def test_X4_the_depth_is_that_of_the_value(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    depth = depth_of(value)
    for form in (text, text.encode(), Raw(text.encode())):
        assert not is_deeper(form, depth)
        assert is_deeper(form, depth - 1) is (depth > 0)


@given(text=st.text(st.sampled_from('[]{}"\\x🦆')) | st.binary())
def test_any_text_will_do(text: str | bytes) -> None:
    assert is_deeper(text, 10**9) is False
    is_deeper(text, 1)


@pytest.mark.parametrize("text", ["", '"', '"\\', "\\", "]]]]", '"[[[[', '"\\"[[[['])
def test_text_that_ends_in_the_middle(text: str) -> None:
    assert not is_deeper(text, 0)
    assert not is_deeper(text.encode(), 0)


def test_a_string_that_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        is_deeper("\ud800", 1)
    with pytest.raises(InvalidMessage):
        messages.decode('"\ud800"')


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def message(kind: str, payload: object, inner: str) -> str:
    return json.dumps(envelope(kind, payload)).replace('"HERE"', inner)


#: Where a value may be that the schema does not bound, and how many levels are around it.
PLACES: dict[str, tuple[str, dict[str, Any], int]] = {
    "operation": ("operation", {"operation": "HERE", "version": 0}, 2),
    "event": ("event", {"name": "e", "data": "HERE"}, 2),
    "presence": ("presence_update", {"presence": {"data": "HERE"}}, 3),
    "an unknown field": ("ping", {"timestamp": 1, "later": "HERE"}, 2),
    "a batch": ("batch", {"messages": ["HERE"], "compressed": False}, 3),
}


@pytest.mark.parametrize("place", PLACES)
def test_X4_a_message_of_so_many_levels_and_no_more(place: str) -> None:
    kind, payload, around = PLACES[place]
    most = messages.MAX_DEPTH - around
    messages.decode(message(kind, payload, nested(most)))
    for levels in (most + 1, 1_000, 10_000, 500_000):
        with pytest.raises(InvalidMessage) as caught:
            messages.decode(message(kind, payload, nested(levels)))
        assert (caught.value.details["limit"], caught.value.details["path"]) == (256, "")


def test_X4_a_message_that_is_refused_is_named_if_its_id_can_be_read() -> None:
    sent = envelope("event", {"name": "e", "data": "HERE"})
    with pytest.raises(InvalidMessage) as caught:
        messages.decode(json.dumps(sent).replace('"HERE"', nested(300)))
    assert caught.value.details["messageId"] == sent["id"]


def test_X4_what_is_let_through_can_be_passed_on() -> None:
    deepest = json.loads(nested(messages.MAX_DEPTH - 2))
    assert bytes(messages.pass_on(deepest, "payload.data")) == nested(messages.MAX_DEPTH - 2).encode()
    sent = messages.encode(messages.EventSent("e", "ada", 1, messages.pass_on(deepest, "")), 0, "r")
    batch = messages.encode(messages.BatchSent([Raw(sent)], compressed=False), 0, "r")
    assert json.loads(batch)["payload"]["messages"][0]["payload"]["data"] == deepest


def test_X4_the_deepest_json1_document_can_be_changed_stored_and_summed_up() -> None:
    kind = ot.types["json1"]
    document: Any = {}
    deepest = json.loads(nested(199))
    insert = kind.normalize(["a", {"i": deepest}])
    document = kind.apply(document, insert)
    assert len(checksum(document)) == 8
    assert orjson.loads(orjson.dumps(document)) == document
    inside: Any = ["a", *[0] * 198, {"i": 1}]
    assert kind.compose(insert, inside)
    assert kind.transform(inside, inside, "left") is not None
    document = kind.apply(document, inside)
    state = messages.document_state("json1", 1, "e", document)
    assert json.loads(messages.encode(messages.DocumentSent("m", state), 0, "r"))
    with pytest.raises(ot.OperationError, match="deep"):
        kind.apply({}, kind.normalize(["a", {"i": json.loads(nested(200))}]))
