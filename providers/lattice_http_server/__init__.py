"""HTTP requests turned into calls of actors: `builtin://http-server`."""

from lattice_http_server.provider import HttpServer

__all__ = ["HttpServer"]
