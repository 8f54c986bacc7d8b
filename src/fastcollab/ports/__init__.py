"""What the gateway needs from outside, as interfaces; ``engines`` has the implementations.

All methods are waited for, since an engine may have to ask a disk or another machine, and may be called from one event
loop only. What can be wrong with the outside (a full disk, a server that is gone) is raised as
:class:`~fastcollab.errors.ServiceUnavailable`: nothing was changed then, or it is not known whether it was, and the
same call may be made again.
"""

from __future__ import annotations

from fastcollab.ports.backend import (
    AskPermission,
    AskProfile,
    BackendDown,
    BackendFailed,
    Grant,
    LoadDocument,
    LoadedDocument,
    Profile,
    SavedDocument,
    SaveDocument,
)
from fastcollab.ports.cluster import (
    Beat,
    Bus,
    Disconnect,
    NodeInfo,
    NodeLoad,
    Nodes,
    Order,
    Orders,
    Permit,
    Roster,
    Rosters,
    Turn,
)
from fastcollab.ports.connections import (
    ConnectionRegistry,
    Revocations,
    TakenUp,
)
from fastcollab.ports.documents import (
    AlreadyCommitted,
    DocumentStore,
    DocumentSummary,
    LogMoved,
    Retention,
    Settled,
    StoredDocument,
)

__all__ = [
    "AlreadyCommitted",
    "AskPermission",
    "AskProfile",
    "BackendDown",
    "BackendFailed",
    "Beat",
    "Bus",
    "ConnectionRegistry",
    "Disconnect",
    "DocumentStore",
    "DocumentSummary",
    "Grant",
    "LoadDocument",
    "LoadedDocument",
    "LogMoved",
    "NodeInfo",
    "NodeLoad",
    "Nodes",
    "Order",
    "Orders",
    "Permit",
    "Profile",
    "Retention",
    "Revocations",
    "Roster",
    "Rosters",
    "SaveDocument",
    "SavedDocument",
    "Settled",
    "StoredDocument",
    "TakenUp",
    "Turn",
]
