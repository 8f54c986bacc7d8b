"""The ports over a Valkey of the gateway's own, for many processes on one machine with no server to install.

The server is a process beside the gateway, which starts it, starts it again when it dies, and ends it. Nobody reaches
it but who may enter the directory that its data and its socket are in. The ports themselves are those of Redis.
"""

from fastcollab.engines.valkey.server import EmbeddedValkey as EmbeddedValkey
from fastcollab.engines.valkey.server import attached as attached
from fastcollab.engines.valkey.server import open_valkey as open_valkey
from fastcollab.engines.valkey.server import visit as visit
