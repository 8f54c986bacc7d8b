"""What people are shown of each other: names, status texts, pictures and colours, made fit to be shown (rule P6).

These come from tokens, from back ends and from users, and are shown by front ends of all kinds, some of which put them
into HTML as they are. So no markup is left in them. They are *text* all the same, and not HTML: what comes out is what
a person reads, ``Tom & Jerry`` and not ``Tom &amp; Jerry``. nh3 knows what browsers take for markup; it reads and
writes HTML, so the text is escaped where it would be read as a reference, and unescaped afterwards. What it leaves may
become markup by that (``<<b>b>``), so it is done again until nothing changes any more.

Characters that nobody sees are left out too: they make two names look alike that are not, or have the rest of the line
run backwards. Zero-width joiners stay where scripts and emoji need them.

Documents, and the data of events and presence, never come here.
"""

from __future__ import annotations

import html
import re
from unicodedata import category, normalize

import msgspec
import nh3

from fastcollab.messages import Color

#: Characters of a name, and of a picture's address.
MAX_NAME = 128
MAX_PICTURE = 2048

#: How many times as long a text may be as what becomes of it: what is longer is cut off first.
_LOOKED_AT = 4

#: Who has neither a name nor an id in which there is anything to be seen.
UNNAMED = "?"

_SPACE = re.compile(r"\s+")
#: At the end it would be markup together with what a front end writes behind it.
_BEGUN_TAG = re.compile(r"(?:<[/!?]*)+\Z")
_JOINERS = "\u200c\u200d"
#: Letters, by their category, which nobody sees: the fillers of Hangul, and the empty pattern of Braille.
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"

_PICTURE = re.compile(
    r"https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?(?:[/?#][\w.~:/?#\[\]@!$&'()*+,;=%-]*)?",
    re.ASCII | re.IGNORECASE,
)
#: What ends a string in HTML or in CSS, as an address may have it just as well.
_ESCAPED_IN_ADDRESSES = str.maketrans({"'": "%27", "(": "%28", ")": "%29"})


def display_text(text: str, max_length: int) -> str:
    """The text without markup and without what cannot be seen, in one line of at most `max_length` characters.

    It may be empty. What comes out stays as it is when it comes in again.
    """
    text = text[: _LOOKED_AT * max_length]
    while (cleaned := _cleaned(text)[:max_length]) != text:
        text = cleaned
    return text


def display_name(*candidates: str | None) -> str | None:
    """The first of these names of which there is anything to be seen, as it is shown; None: there is none."""
    for candidate in candidates:
        shown = display_text(candidate or "", MAX_NAME)
        if any(_is_seen(character) for character in shown):
            return shown
    return None


def display_color(color: object) -> str | None:
    """The colour, if it is one (V4)."""
    try:
        return msgspec.convert(color, Color | None)
    except msgspec.ValidationError:
        return None


def display_picture(address: object) -> str | None:
    """The address of a picture, if it is one that may be shown: of the scheme `https`, without a user in it, and of
    such characters only as cannot end the attribute or the style that it is put into.
    """
    if not isinstance(address, str) or len(address) > MAX_PICTURE or not _PICTURE.fullmatch(address):
        return None
    escaped = address.translate(_ESCAPED_IN_ADDRESSES)
    return escaped if len(escaped) <= MAX_PICTURE else None


def _cleaned(text: str) -> str:
    text = _visible(normalize("NFC", text))
    if "<" in text:
        text = html.unescape(nh3.clean(text.replace("&", "&amp;"), tags=set()))
        text = _BEGUN_TAG.sub("", text)
    return _SPACE.sub(" ", text).strip()


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    for index, character in enumerate(text):
        if character.isspace() or character in _BLANK:
            kept.append(" ")
        elif character in _JOINERS:
            if kept and _may_be_joined(kept[-1]) and index + 1 < len(text):
                kept.append(character)
        elif category(character) not in ("Cc", "Cf", "Cs"):
            kept.append(character)
    return "".join(kept)


def _is_seen(character: str) -> bool:
    """Whether it is more than space, a joiner, or a mark on a character that is not there."""
    kind = category(character)
    return kind[0] not in "MZ" and kind != "Cf"


def _may_be_joined(character: str) -> bool:
    """Whether a joiner behind it can mean something: behind letters without case, vowel signs and emoji, but not behind
    Latin, Greek or Cyrillic, where it would only make another name of what looks the same.
    """
    return category(character) in ("Lo", "Mn", "Mc", "So", "Sk")
