"""Nodes: the gateways of the cluster."""

from __future__ import annotations

from collections.abc import Sequence

from fastcollab.ports import NodeInfo
from fastcollab.server.admin.desk import Desk
from fastcollab.server.admin.endpoint import Group, Nothing
from fastcollab.server.admin.forms import Answer

group = Group("nodes")


class NodeList(Answer, frozen=True):
    """The first is the one that answers, or its workers; what the others say of themselves is a few seconds old."""

    nodes: Sequence[NodeInfo]


def _workers_first(_asked: Nothing, answers: Sequence[NodeList]) -> NodeList:
    told = {node.node: node for answer in answers for node in answer.nodes[1:]}
    themselves = {node.node: node for answer in answers for node in answer.nodes[:1]}
    return NodeList(list({**themselves, **told, **themselves}.values()))


@group.add("GET", "/nodes", pooling=_workers_first)
async def list_nodes(desk: Desk, _asked: Nothing) -> NodeList:
    """All gateways that live: how many connections, users and rooms each has, and what is wrong with it."""
    return NodeList([desk.describe()] if desk.cluster is None else await desk.cluster.nodes())
