"""``fastcollab serve``: a gateway in this process, or several in processes of their own.

With `server.workers` above 1 this process is a *supervisor*, and serves nobody itself. Its *workers* are ordinary
gateways, nodes of one cluster, which listen on one port: the kernel gives each connection to one of them. ::

    supervisor ─┬─▶ worker 1 ─┐
      holds the ├─▶ worker 2 ─┼─▶ Redis, or a Valkey that the supervisor runs
      port      └─▶ worker N ─┘

``plan`` decides what follows from the configuration, ``port`` has the port, ``supervisor`` starts workers, and starts
them again when they die (``core/revival.py`` says when), ``worker`` is one, and ``pooled_metrics`` are those of all, as
:mod:`fastcollab.server.admin.pool` is the admin API of all; ``process`` and ``signals`` are what it has in common with
a gateway that is alone.

**Whoever dies.** A worker's clients connect again, to another. The supervisor alone holds the other end of its workers'
standard input, over which it asks for their metrics: when it ends, however that is, the input ends, and they stop as if
told to, and take away the directory with the sockets of their admin APIs. The Valkey is killed with it.

**Stopping.** A signal to the supervisor is passed on, and it waits until the last worker has drained; the Valkey, in
which they store what they have, ends after that.
"""
