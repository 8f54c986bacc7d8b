"""The admin API: what a team's own programs and its operators ask of a gateway, and have it do, over HTTP.

It is part of the operations port, under :data:`PREFIX`, and exists only where there are keys to it
(``ops.api_keys``).

::

    request ──▶ keys ──▶ endpoint ── checked arguments ──▶ handler ──▶ desk: the parts of the gateway
                                                              │
    answer, or problem ◀──────────────────────────────────────┘

A handler is a function with a docstring, whose arguments and result are msgspec structs. From these the endpoint checks
what comes in, and :mod:`fastcollab.server.admin.openapi` describes it: there is nothing to keep in step by hand.
"""

PREFIX = "/api/v1"
