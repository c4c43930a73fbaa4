"""The SDKs and templates: in actors/ of a checkout, inside the package where it is installed."""

from __future__ import annotations

from pathlib import Path

from lattice import errors

SHARED = "shared"
"""The folder of templates with what is the same in all languages."""
TEMPLATES = ("http", "counter", "worker", "cron")


def actors() -> Path:
    """The folder with sdk/ and templates/. Raises `errors.ConfigError`."""
    package = Path(__file__).resolve().parent
    for folder in (package / "actors", package.parent.parent / "actors"):
        if (folder / "sdk").is_dir() and (folder / "templates").is_dir():
            return folder
    raise errors.ConfigError(
        f"the SDKs are not in {package / 'actors'}", remedy="install nanolattice again: pip install --force-reinstall"
    )


def sdk(language: str) -> Path:
    """The folder of a language's SDK. Raises `errors.ConfigError`."""
    return _folder(actors() / "sdk" / language, f"no SDK for {language}")


def template(language: str, name: str) -> Path:
    """The folder of a template. Raises `errors.ConfigError`."""
    return _folder(actors() / "templates" / language / name, f"no template {name!r} for {language}")


def shared(name: str) -> Path:
    """The folder with what a template has in every language. Raises `errors.ConfigError`."""
    return _folder(actors() / "templates" / SHARED / name, f"no template {name!r}")


def languages(template_name: str) -> tuple[str, ...]:
    """The languages that have a template of this name, sorted."""
    found = (folder.name for folder in (actors() / "templates").iterdir() if (folder / template_name).is_dir())
    return tuple(sorted(name for name in found if name != SHARED))


def _folder(path: Path, missing: str) -> Path:
    if not path.is_dir():
        raise errors.ConfigError(f"there is {missing} in this version of nanolattice")
    return path
