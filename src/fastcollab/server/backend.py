"""The user's back end as the gateway has it: functions or HTTP addresses, one for each purpose.

Of what is not configured there is nothing here: no task, no connection, and no question to the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastcollab.config import Config, ConfigError, ConfigProblem
from fastcollab.core.document import Document
from fastcollab.core.hand_back import HandBackSettings
from fastcollab.core.limits import SECOND
from fastcollab.ports import AskPermission, AskProfile, LoadDocument, SaveDocument
from fastcollab.server.documents import Documents
from fastcollab.server.first_content import FirstContent
from fastcollab.server.grants import Grants
from fastcollab.server.hand_back import HandBack
from fastcollab.server.inquiry import Inquiry
from fastcollab.server.profiles import Profiles

if TYPE_CHECKING:
    from fastcollab.server.http_backend import HttpBackend


class Backend:
    """Raises :class:`ConfigError` if there are both a function and an address for the same purpose."""

    first_content: FirstContent | None = None
    grants: Grants | None = None
    profiles: Profiles | None = None

    def __init__(
        self,
        config: Config,
        *,
        load: LoadDocument | None = None,
        save: SaveDocument | None = None,
        permission: AskPermission | None = None,
        profile: AskProfile | None = None,
    ) -> None:
        self._config = config
        self._load = load
        self._save = save
        self._permission = permission
        self._profile = profile
        self._inquiries: list[Inquiry] = []
        self._http: HttpBackend | None = None
        self._hand_back: HandBack | None = None
        twice = [
            ConfigProblem(
                f"backend.{name}",
                "is set, and the program gives a function in its place",
                config.origin(f"backend.{name}"),
            )
            for name, function in (
                ("load_url", load),
                ("save_url", save),
                ("permission_url", permission),
                ("profile_url", profile),
            )
            if function is not None and getattr(config.backend, name) is not None
        ]
        if twice:
            raise ConfigError(twice)

    def start(self) -> None:
        """Begins to be there for rooms that are opened."""
        settings, max_bytes = self._config.backend, self._config.documents.max_document_bytes
        if settings.addresses:
            from fastcollab.server.http_backend import HttpBackend

            # JSON may be longer than what it says.
            http = self._http = HttpBackend(settings, max_content=2 * max_bytes)
            if settings.load_url is not None:
                self._load = http.load
            if settings.save_url is not None:
                self._save = http.save
            if settings.permission_url is not None:
                self._permission = http.permission
            if settings.profile_url is not None:
                self._profile = http.profile
        if self._load is not None:
            self.first_content = FirstContent(self._load, self._inquiry("load", settings.timeout), max_bytes)
        if self._permission is not None:
            inquiry = self._inquiry("permission", settings.timeout)
            self.grants = Grants(self._permission, inquiry, settings.permission_ttl)
        if self._profile is not None:
            inquiry = self._inquiry("profile", settings.profile_timeout)
            self.profiles = Profiles(self._profile, inquiry, settings.profile_ttl)

    def _inquiry(self, purpose: str, timeout: float) -> Inquiry:
        inquiry = Inquiry(purpose, timeout)
        self._inquiries.append(inquiry)
        return inquiry

    def begin_hand_back(self, documents: Documents, live: Callable[[str], Document | None]) -> None:
        """Begins to hand back what is changed from now on, and what has not been handed back before."""
        if self._save is None:
            return
        settings = self._config.backend
        self._hand_back = HandBack(
            self._save,
            documents,
            HandBackSettings(
                delay=int(settings.save_delay * SECOND),
                max_delay=int(settings.save_max_delay * SECOND),
                at_once=settings.saves_at_once,
            ),
            settings.timeout,
            live=live,
        )

    def changed(self, room_id: str) -> None:
        """A change of the room's document has been stored."""
        if self._hand_back is not None:
            self._hand_back.changed(room_id)

    def deserted(self, room_id: str) -> None:
        """The room is not live any more."""
        if self._hand_back is not None:
            self._hand_back.deserted(room_id)

    def hurry(self) -> None:
        """The gateway is stopping, and nothing is changed any more: what waits is handed back, and nothing asked."""
        if self._hand_back is not None:
            self._hand_back.hurry()
        for inquiry in self._inquiries:
            inquiry.abandon()

    async def close(self, patience: float) -> None:
        """Hands back what is left, for at most `patience` seconds."""
        if self._hand_back is not None:
            await self._hand_back.close(patience)
        if self._http is not None:
            await self._http.close()
