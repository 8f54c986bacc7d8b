"""Permissions: what words and patterns of a token's claim grant (rules P1 and P2)."""

import pytest

from fastcollab.core.permissions import Permission, granted
from fastcollab.errors import ErrorCode, NoPermission

NONE, READ, WRITE, ADMIN = Permission


@pytest.mark.parametrize("permission", Permission)
def test_p1_words_name_permissions(permission: Permission) -> None:
    assert Permission.of_word(permission.word) is permission


def test_p1_the_words_are_those_of_the_protocol() -> None:
    assert [permission.word for permission in Permission] == ["none", "read", "write", "admin"]


@pytest.mark.parametrize("word", ["", "owner", "read ", "1", "__class__"])
def test_p1_other_words_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="none, read, write, admin"):
        Permission.of_word(word)


@pytest.mark.parametrize("held", Permission)
@pytest.mark.parametrize("needed", Permission)
def test_p2_each_permission_includes_those_before_it(held: Permission, needed: Permission) -> None:
    order = [NONE, READ, WRITE, ADMIN]
    if order.index(held) >= order.index(needed):
        held.require(needed, "this")
        return
    with pytest.raises(NoPermission) as caught:
        held.require(needed, "this")
    assert caught.value.code is ErrorCode.NO_PERMISSION
    assert caught.value.recoverable
    assert caught.value.details == {"needed": needed.word, "granted": held.word}
    assert caught.value.message.startswith("this needs")


@pytest.mark.parametrize(
    ("pattern", "room_id", "matches"),
    [
        ("plans", "plans", True),
        ("plans", "plans-2", False),
        ("plans", "my-plans", False),
        ("plans", "Plans", False),
        ("dash-*", "dash-", True),
        ("dash-*", "dash-a/b\u2028c", True),
        ("dash-*", "dash", False),
        ("*", "anything", True),
        ("dash-?", "dash-1", True),
        ("dash-?", "dash-12", False),
        ("dash-[12]", "dash-2", True),
        ("dash-[12]", "dash-3", False),
        ("dash-[a-c]", "dash-b", True),
        ("dash-[!1]", "dash-1", False),
        ("dash-[!1]", "dash-2", True),
        ("[", "[", True),
        ("a.c", "abc", False),
        ("(a|b)", "a", False),
        ("[z-a]", "m", False),
        ("", "plans", False),
    ],
)
def test_p1_patterns_are_globs_of_the_whole_name_and_of_its_case(pattern: str, room_id: str, matches: bool) -> None:
    assert granted({pattern: WRITE}, room_id) is (WRITE if matches else NONE)


@pytest.mark.parametrize(
    "rooms",
    [
        {"*": READ, "dash-*": ADMIN, "dash-1": NONE},
        {"dash-1": NONE, "dash-*": ADMIN, "*": READ},
    ],
)
def test_p1_the_most_generous_pattern_counts_in_any_order(rooms: dict[str, Permission]) -> None:
    assert granted(rooms, "dash-1") is ADMIN
    assert granted(rooms, "wiki") is READ


def test_p1_an_empty_claim_grants_nothing() -> None:
    assert granted({}, "plans") is NONE


def test_a_pattern_full_of_stars_takes_no_longer_than_others() -> None:
    assert granted({"*a" * 100 + "b": WRITE}, "a" * 128) is NONE
