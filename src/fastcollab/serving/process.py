"""One gateway in this process, from its start to its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from fastcollab.config import Config, ConfigError
from fastcollab.errors import StoreError
from fastcollab.server.admin.api import answers_of, application
from fastcollab.server.admin.branch import branch_open
from fastcollab.server.gateway import Gateway
from fastcollab.serving.plan import CannotServe
from fastcollab.serving.port import cannot_listen
from fastcollab.serving.signals import heed_signals


async def run_gateway(
    config: Config, announce: Callable[[Gateway], None], *, reuse_port: bool = False, api_socket: Path | None = None
) -> None:
    """Runs a gateway to its end. `announce` is given it when it accepts connections and heeds signals; others may
    listen on its port with `reuse_port`. At `api_socket`, if there is one, its admin API asks for no key.

    Raises :class:`~fastcollab.serving.plan.CannotServe`.
    """
    async with AsyncExitStack() as running:
        try:
            gateway = await running.enter_async_context(Gateway(config, reuse_port=reuse_port))
            if api_socket is not None:
                api = application(answers_of(config, gateway.desk))
                await running.enter_async_context(branch_open(api, api_socket))
        except ConfigError as error:
            raise CannotServe(*map(str, error.problems)) from error
        except StoreError as error:
            raise CannotServe(str(error)) from error
        except OSError as error:
            raise cannot_listen(error) from error
        heed_signals(config, gateway.close_soon, gateway.renew_certificate)
        announce(gateway)
        await gateway.wait_closed()
