"""Revocations: what was said about tokens after they were signed (S12).

A token is known by its :class:`TokenMarks`, and a :class:`Revocation` says which tokens are good no more: one, those of
one login, or those that a user had until then. The user may log in again, so of a user's tokens the older ones are
meant, and one that does not say when it was issued is taken for old.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

#: Characters of what a token may be revoked by.
MAX_SUBJECT = 256

RevocationKind = Literal["token", "session", "user"]


class TokenMarks(NamedTuple):
    """What a token can be revoked by. `issued_at` and `expires_at` are Unix time in seconds.

    `token_id` is the claim `jti`, or a hash of what was signed; `login` the claim `sid`, or None, as is `issued_at` of
    a token that does not say it.
    """

    user_id: str
    token_id: str
    login: str | None
    issued_at: float | None
    expires_at: float

    def revocation(self, now: int, leeway: int) -> Revocation:
        """That of this token alone, made at `now` (Unix time, ms); tokens hold for `leeway` ms beyond their time."""
        return Revocation("token", self.token_id, now, int(self.expires_at * 1000) + leeway)


class Revocation(NamedTuple):
    """All tokens that are called `subject` in this way, and of a user those issued before `before` (Unix time, ms).

    From `until` (Unix time, ms) on no such token can be valid, so that it may be forgotten; None: nobody knows.
    """

    kind: RevocationKind
    subject: str
    before: int
    until: int | None

    def covers(self, token: TokenMarks) -> bool:
        match self.kind:
            case "token":
                return token.token_id == self.subject
            case "session":
                return token.login == self.subject
            case "user":
                if token.user_id != self.subject:
                    return False
                return token.issued_at is None or token.issued_at * 1000 < self.before

    def joined_with(self, other: Revocation) -> Revocation:
        """What both say together of the same subject."""
        ends = None if self.until is None or other.until is None else max(self.until, other.until)
        return self._replace(before=max(self.before, other.before), until=ends)
