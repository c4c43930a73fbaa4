"""References: what is read, what is refused and says why; whatever comes in, no crash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.artifacts.reference import host_name, is_reference, parse

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("registry.example/name:1.0", "registry.example", "name", "1.0", ""),
        ("oci://registry.example:5000/team/name:1.0", "registry.example:5000", "team/name", "1.0", ""),
        (f"Registry.Example/a/b/c@{DIGEST}", "registry.example", "a/b/c", "", DIGEST),
        (f"localhost/a-b__c.d:latest@{DIGEST}", "localhost", "a-b__c.d", "latest", DIGEST),
        ("127.0.0.1:5000/x:_1", "127.0.0.1:5000", "x", "_1", ""),
        ("[::1]:5000/x:1", "[::1]:5000", "x", "1", ""),
    ],
)
def test_references_are_read(text: str, registry: str, repository: str, tag: str, digest: str) -> None:
    found = parse(text)
    assert (found.registry, found.repository, found.tag, found.digest) == (registry, repository, tag, digest)
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name:1.0", "names no registry"),
        ("team/name:1.0", "names no registry"),
        ("", "names no registry"),
        ("registry.example/name", "neither tag nor digest"),
        ("registry.example/Name:1", "no name of a repository"),
        ("registry.example//name:1", "no name of a repository"),
        ("registry.example/../name:1", "no name of a repository"),
        ("registry.example/a/..:1", "no name of a repository"),
        ("registry.example/:1", "no name of a repository"),
        (f"registry.example/{'a' * 256}:1", "no name of a repository"),
        ("registry.example/name:", "no tag"),
        ("registry.example/name:a b", "no tag"),
        ("registry.example/name:../../x", "no tag"),
        (f"registry.example/name:{'1' * 129}", "no tag"),
        ("registry.example/name@", "no digest"),
        ("registry.example/name@sha256:../../x", "no digest"),
        (f"registry.example/name@sha512:{'0' * 128}", "no digest"),
        (f"registry.example/name@{DIGEST.upper()}", "no digest"),
        ("registry.example:0/name:1", "no name of a registry"),
        ("registry.example:99999/name:1", "no name of a registry"),
        ("registry.example:x/name:1", "no name of a registry"),
        ("-x.example/name:1", "no name of a registry"),
        ("user:word@registry.example/name:1", "names no registry"),
        ("registry.example/" + "a/" * 400 + "a:1", "at most 600 characters"),
        ("registry.example/n\u00e4me:1", "no name of a repository"),
        ("registry.example/name:1\n", "no tag"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_reason(text: str, said: str) -> None:
    assert not is_reference(text)
    with pytest.raises(errors.ConfigError, match=said):
        parse(text)


@given(st.text() | st.from_regex(r"[a-z.:]{1,9}/[a-z/._-]{1,20}(:[a-z.]{0,5})?(@sha256:[0-9a-f]{64})?", fullmatch=True))
def test_whatever_comes_in_is_read_or_refused(text: str) -> None:
    if is_reference(text):
        found = parse(text)
        assert parse(str(found)) == found
        assert ".." not in found.repository.split("/")


def test_host_and_port_of_a_registry() -> None:
    assert host_name("Registry.example:5000") == ("registry.example", 5000)
    assert host_name("registry.example") == ("registry.example", None)
    with pytest.raises(errors.ConfigError, match="no name of a registry"):
        host_name("https://registry.example")
