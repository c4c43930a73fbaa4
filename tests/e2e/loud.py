"""A key-value store that says its secrets wherever a careless provider could."""

from __future__ import annotations

import base64
import threading
import warnings
from pathlib import Path
from urllib.parse import quote

from lattice.contracts import keyvalue
from lattice.errors import ProviderError
from lattice.provider import Link, Provider, Settings


class LoudSettings(Settings):
    value: str


class Loud(Provider[str, None]):
    """`increment` fails with its secret in the form that the key's last word names. Its health always does."""

    name = "loud"
    contract = keyvalue.CONTRACT
    settings_type = LoudSettings
    attach_settings_type = LoudSettings

    async def start(self) -> None:
        value = self.settings.value
        self.context.log.debug("starts with %s and %r", value, self.settings)
        warnings.warn(f"a warning with {value}", stacklevel=1)
        thread = threading.Thread(target=self._fail, name="loud")
        thread.start()
        thread.join()

    def _fail(self) -> None:
        raise RuntimeError(f"a thread failed with {self.settings.value}")

    async def attach(self, link: Link, settings: LoudSettings) -> str:
        self.context.log.info("attached %r with %s: %s", link, settings, link.target_config)
        return settings.value

    async def increment(self, value: str, message: keyvalue.IncrementRequest) -> int:
        said: dict[str, Exception] = {
            "plain": RuntimeError(f"cannot reach redis://:{value}@store/0"),
            "quoted": ProviderError(f"bad address {quote('?' + value + '?', safe='')}"),
            "base64": ValueError(f"refused: Basic {base64.b64encode(b'me:' + value.encode()).decode()}"),
            "connection": ConnectionError(f"no route to {value}"),
            "hex": KeyError(value.encode().hex()),
            "own": ProviderError(f"the provider's own secret is {self.settings.value}"),
        }
        raise said[message.key.rpartition("/")[2]]

    async def health(self) -> None:
        raise OSError(f"{self.settings.value} is not healthy")


def install(folder: Path) -> None:
    """Makes `folder`, on the path of another Python, a place where this provider is installed."""
    metadata = folder / "loud-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[lattice.providers]\nloud = tests.e2e.loud:Loud\n")
