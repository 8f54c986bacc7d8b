"""Nodes: the gateways of the cluster."""

from __future__ import annotations

from collections.abc import Sequence

from fastcollab.ports import NodeInfo
from fastcollab.server.admin.desk import Desk
from fastcollab.server.admin.endpoint import Group, Nothing
from fastcollab.server.admin.forms import Answer

group = Group("nodes")


class NodeList(Answer, frozen=True):
    """The first is the one that answers; what the others say of themselves is a few seconds old."""

    nodes: Sequence[NodeInfo]


@group.add("GET", "/nodes")
async def list_nodes(desk: Desk, _asked: Nothing) -> NodeList:
    """All gateways that live: how many connections, users and rooms each has, and what is wrong with it."""
    return NodeList([desk.describe()] if desk.cluster is None else await desk.cluster.nodes())
