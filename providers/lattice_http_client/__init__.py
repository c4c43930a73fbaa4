"""wasmcloud:httpclient - requests to the hosts that a link allows, and to nothing else."""

from lattice_http_client.client import HttpClient
from lattice_http_client.settings import HttpClientLink

__all__ = ["HttpClient", "HttpClientLink"]
