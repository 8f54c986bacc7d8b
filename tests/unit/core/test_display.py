"""What people are shown of each other has no markup and nothing invisible in it, and is text all the same (rules P5,
P6).
"""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcollab.core.display import UNNAMED, display_color, display_name, display_picture, display_text

AS_IT_IS = [
    *("", "Ada", "Tom & Jerry", "AT&T", "O'Brien", 'Ada "the first"', "I <3 you", "<3", "5 > 4 < 6", "x <-- y"),
    *("&lt;b&gt;", "&amp;", "&copy", "&#60;", "Zoë", "山田太郎", "Владимир", "שלום", "محمد"),
    *("🦆", "👩‍👩‍👧", "🏳️‍🌈", "👍🏽", "می‌خواهم", "क्‍ष", "\U0001fae8"),
]


@pytest.mark.parametrize("text", AS_IT_IS)
def test_P6_what_people_are_called_stays_as_it_is(text: str) -> None:
    assert display_text(text, 128) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>Ada</b>", "Ada"),
        ("Ada <ada@example.com>", "Ada"),
        ("a<script>alert(1)</script>b", "ab"),
        ("a<style>*{display:none}</style>b", "ab"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<svg/onload=alert(1)>", ""),
        ("<!-- a -->b", "b"),
        ("<<b>b>x", "x"),
        ("<scr<script>ipt>x", "ipt>x"),
        ("a<plaintext>b</b>", "ab"),
        ('<noscript><p title="</noscript><img src=x onerror=alert(1)>">', ""),
        ("<\u200bscript>alert(1)</script>", ""),
        ("<scr\u00adipt>alert(1)</script>", ""),
        ("<scr\0ipt>alert(1)</script>", ""),
        ("Ada<", "Ada"),
        ("Ada</", "Ada"),
        ("Ada <!", "Ada"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u2066b\u2069\u200e\u200f\u061c", "ab"),
        ("a\u200bd\u2060\ufeffa", "ada"),
        ("a\u200dd\u200ca", "ada"),
        ("\u200d🦆\u200d", "🦆"),
        ("A\nd\ta\r\u2028\u2029\x85!", "A d a !"),
        ("\x1b[31mAda\x07", "[31mAda"),
        ("  Ada \u00a0\u3000 L.  ", "Ada L."),
        ("\u3164\u115f\u1160\uffa0\u2800", ""),
        ("e\u0301", "\u00e9"),
        ("\ud800Ada", "Ada"),
        ("🦆\U000e0041\U000e007f", "🦆"),
    ],
)
def test_P6_markup_and_what_nobody_sees_is_left_out(text: str, shown: str) -> None:
    assert display_text(text, 128) == shown


class _Tags(HTMLParser):
    """Notes whatever it takes for markup."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(data)


hostile = st.lists(
    st.sampled_from(
        ["<", ">", "/", "!", "?", "-", "b", "script", "img", " ", "&", "lt;", "amp;", '"', "'", "=", "x", "é"]
    )
    | st.sampled_from(["\0", "\u200b", "\u200d", "\u202e", "\u3164", "\n", "a\u0301", "🦆", "\ud800", "\u1160"])
    | st.text(max_size=3),
    max_size=60,
).map("".join)


@given(text=hostile, limit=st.integers(1, 40))
def test_P6_what_is_shown_is_no_markup_and_stays_as_it_is(text: str, limit: int) -> None:
    shown = display_text(text, limit)
    assert display_text(shown, limit) == shown
    assert len(shown) <= limit
    assert shown == unicodedata.normalize("NFC", shown) == shown.strip()
    assert all(unicodedata.category(each) not in ("Cc", "Cs", "Zl", "Zp") for each in shown)
    assert not any(each in shown for each in "\u200b\u202e\ufeff\u2066")
    # Neither by itself nor with what a front end writes behind it.
    for after in ("", "img src=x onerror=alert(1)>", "/b>", "!-- "):
        tags = _Tags()
        tags.feed(shown)
        before = len(tags.found)
        assert before == 0
        tags.feed(after)
        tags.close()
        assert tags.found == []
    assert nh3.clean(shown.replace("&", "&amp;"), tags=set()).count("<") == 0


def test_P6_a_text_has_a_bound_and_a_bomb_takes_no_time() -> None:
    assert display_text("x" * 129, 128) == "x" * 128
    assert display_text(" " + "x" * 1_000, 128) == "x" * 128
    assert display_text("\ufb2c" * 128, 128) == unicodedata.normalize("NFC", "\ufb2c" * 128)[:128]
    for bomb in ("<" * 1_000_000, "<" * 256 + "b>" * 128, "<b" * 500_000, "&" * 1_000_000, "\u200d" * 1_000_000):
        display_text(bomb, 128)


@pytest.mark.parametrize(
    ("name", "user_id", "shown"),
    [
        ("Ada", "7", "Ada"),
        (None, "7", "7"),
        ("", "7", "7"),
        ("<b></b>", "ada", "ada"),
        ("\u200b\u202e", "ada", "ada"),
        (" \u3164 ", "ada", "ada"),
        ("\ufe0f", "ada", "ada"),
        (None, "<b>ada</b>", "ada"),
        (None, "<script>", UNNAMED),
        ("<i>", "\u200b", UNNAMED),
        ("🫨", "7", "🫨"),
    ],
)
def test_P5_P6_whoever_has_no_name_is_shown_by_the_id(name: str | None, user_id: str, shown: str) -> None:
    assert (display_name(name, user_id) or UNNAMED) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.com/a.png?size=64&v=2#x", ...),
        ("https://example.com:8443", ...),
        ("HTTPS://Example.com/", ...),
        ("https://example.com/O'Brien(1).png", "https://example.com/O%27Brien%281%29.png"),
        ("https://a.b/" + "x" * 2036, ...),
        ("https://a.b/" + "x" * 2037, None),
        ("https://a.b/" + "'" * 1000, None),
        *((address, None) for address in ("", "http://a.b/c", "//a.b/c", "a.png", "javascript:alert(1)", "https:a.b")),
        *(
            (address, None)
            for address in ("data:image/png;base64,AAAA", "https://", "https:///a", "https://.b/", "ftp://a.b")
        ),
        *((address, None) for address in ("https://u@a.b/", "https://u:p@a.b/", "https://a.b/c d", 'https://a.b/"x="')),
        *(
            (address, None)
            for address in ("https://a.b/<b>", "https://a.b\\c", "https://a.b/\n", "https://é.b/", " https://a.b")
        ),
        *((address, None) for address in (None, 7, ["https://a.b/c"], {"url": "https://a.b/c"}, True)),
    ],
)
def test_P5_a_picture_has_an_address_that_can_be_shown(address: object, shown: object) -> None:
    assert display_picture(address) == (address if shown is ... else shown)


@pytest.mark.parametrize(
    ("color", "shown"), [("#fff", "#fff"), ("red", "red"), ("url(x)", None), ("red;", None), (None, None), (7, None)]
)
def test_P5_a_colour_is_one_or_is_not_shown(color: object, shown: str | None) -> None:
    assert display_color(color) == shown
