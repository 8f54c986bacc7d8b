"""Revoking: from what an administrator names to revocations, with the time for which they are kept (S12)."""

from __future__ import annotations

from fastcollab.config import AuthConfig
from fastcollab.core.revocation import MAX_SUBJECT, Revocation, RevocationKind, TokenMarks
from fastcollab.core.session import Session
from fastcollab.server.auth import TokenVerifier
from fastcollab.server.clock import unix_ms
from fastcollab.server.validation import Validation


class Revoker:
    """What :class:`~fastcollab.Gateway` offers; its methods say how many connections here they have ended."""

    def __init__(self, config: AuthConfig, verifier: TokenVerifier, validation: Validation) -> None:
        self._leeway = int(config.leeway * 1000)
        self._lifetime = int(config.max_token_lifetime * 1000)
        self._verifier = verifier
        self._validation = validation

    async def revoke_token(self, token: str) -> int:
        if token.startswith("ey") and token.count(".") == 2:
            return await self._revoke_marked((await self._verifier.authenticate(token)).token)
        return await self._revoke("token", token)

    async def revoke_session(self, session_id: str, session: Session | None) -> int:
        """`session` is the one whose connection has this id, if that is here: with its token it could come again."""
        ended = 0
        if session is not None and session.authenticated:
            ended = await self._revoke_marked(session.identity.token)
        return ended + await self._revoke("session", session_id)

    async def revoke_user(self, user_id: str) -> int:
        return await self._revoke("user", user_id)

    async def _revoke_marked(self, token: TokenMarks) -> int:
        return await self._revoke("token", token.token_id, int(token.expires_at * 1000) + self._leeway)

    async def _revoke(self, kind: RevocationKind, subject: str, until: int | None = None) -> int:
        if not 0 < len(subject) <= MAX_SUBJECT:
            raise ValueError(f"the name of a {kind} has 1 to {MAX_SUBJECT} characters, not {len(subject)}")
        subject.encode()  # UnicodeEncodeError, a ValueError, for half of a surrogate pair
        # The clock of who signs tokens may be ahead by so much.
        before = unix_ms() + self._leeway
        if until is None and self._lifetime:
            until = before + self._lifetime + self._leeway
        return await self._validation.revoke(Revocation(kind, subject, before, until))
