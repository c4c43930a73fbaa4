"""What a manifest may name and this version cannot start yet."""

from __future__ import annotations

from lattice import errors
from lattice.control.manifest.records import Component


def require_supported(component: Component) -> None:
    """Raises `errors.ConfigError` for an image that a manifest may name and this version cannot start."""
    image = component.image
    if component.kind == "provider" and image.kind in ("file", "oci"):
        raise errors.ConfigError(
            f"{component.name}: providers as files or from registries cannot be started yet: {image.text}",
            remedy="install the provider's package and name it builtin://NAME",
        )
