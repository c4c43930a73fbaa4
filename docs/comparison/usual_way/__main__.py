"""Puts the parts together and serves until a signal.

python -m usual_way
"""

from __future__ import annotations

import asyncio
import signal
import sys

from aiohttp import web
from pydantic import ValidationError

from .clicks import Clicks
from .handlers import Links
from .health import Health
from .middleware import guarded, observed
from .models import explain
from .settings import Settings
from .store import Store
from .telemetry import Telemetry, set_up_logs


async def serve(settings: Settings) -> None:
    telemetry, store = Telemetry(), Store(settings)
    clicks = Clicks(store, telemetry)
    application = web.Application(
        middlewares=[observed(telemetry), guarded(settings)], client_max_size=settings.body_bytes_max
    )
    application.add_routes([*Health(store, clicks, telemetry).routes(), *Links(store).routes()])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=settings.drain_s)
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await web.TCPSite(runner, settings.address, settings.port).start()
        clicks.start()
        host, port = runner.addresses[0][:2]
        print(f"serving on http://{host}:{port}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()
        await clicks.stop()
        await store.close()


def main() -> None:
    try:
        settings = Settings.from_environment()
    except ValidationError as error:
        sys.exit(f"a setting is wrong: {explain(error)}")
    set_up_logs(settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
