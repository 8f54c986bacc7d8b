"""What users are called, and how they look, as the user's back end has it (rule P5).

It is asked while a client waits to be connected, so it has little time, and a profile that cannot be had keeps
nobody out: then the token's claims are used.
"""

from __future__ import annotations

from dataclasses import replace

from fastcollab.core.display import display_color, display_name, display_picture
from fastcollab.logs import get_logger
from fastcollab.ports import AskProfile, BackendFailed, Profile
from fastcollab.server.auth import Claims
from fastcollab.server.inquiry import Inquiry, NotAsked
from fastcollab.server.kept_answers import KeptAnswers

log = get_logger(__name__)


class Profiles:
    """Asks `ask` by `inquiry`, and keeps answers for `ttl` seconds."""

    def __init__(self, ask: AskProfile, inquiry: Inquiry, ttl: float) -> None:
        self._ask = ask
        self._inquiry = inquiry
        #: With such fields only as can be shown.
        self._answers: KeptAnswers[str, Profile] = KeptAnswers(self._asked, lambda profile: ttl)

    async def complete(self, claims: Claims) -> Claims:
        """The claims, with what the back end knows better."""
        try:
            profile = await self._answers.of(claims.user_id)
        except NotAsked:
            return claims
        except Exception as error:
            log.warning(
                "a profile could not be had, and that of the token is used",
                user_id=claims.user_id,
                error=str(error),
                exc_info=None if isinstance(error, BackendFailed) else error,
            )
            return claims
        return replace(
            claims,
            name=profile.name or claims.name,
            color=profile.color or claims.color,
            picture=profile.picture or claims.picture,
        )

    async def _asked(self, user_id: str) -> Profile:
        profile = await self._inquiry.ask(lambda: self._ask(user_id))
        if profile is None:
            return Profile()
        if not isinstance(profile, Profile):
            raise TypeError(f"a profile must be told by a Profile, not by {type(profile).__name__}")
        return Profile(display_name(profile.name), display_color(profile.color), display_picture(profile.picture))
