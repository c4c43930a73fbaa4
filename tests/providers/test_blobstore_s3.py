"""Blobs on S3: what happens when the service is away, slow, or refuses, and where the secret must not appear."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiobotocore.session import get_session
from lattice_blobstore_s3 import BlobstoreS3
from lattice_blobstore_s3.provider import S3Settings

from lattice import errors
from lattice.contracts.blobstore import Chunk, GetObjectRequest, PutChunkRequest, PutObjectRequest
from lattice.provider import validated
from lattice.testing import ProviderRig, provider_rig
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, s3_server
from tests.support.servers import Server

MIB = 1024 * 1024
KEYS = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    folder = tmp_path / "s3"
    folder.mkdir()
    with s3_server(folder) as running:
        yield running


def quick(server: Server, **more: str) -> dict[str, str]:
    """Settings that give up soon."""
    return (
        KEYS | {"endpoint": server.url, "connect_timeout_s": "0.3", "read_timeout_s": "0.3", "attempts_max": "1"} | more
    )


async def put(rig: ProviderRig, data: bytes, last: bool = True, container: str = "box") -> Any:
    chunk = Chunk(object_id="thing", container_id=container, bytes=data, offset=0, is_last=last)
    return await rig.call("Blobstore.PutObject", PutObjectRequest(chunk=chunk))


async def get(rig: ProviderRig) -> Any:
    return await rig.call("Blobstore.GetObject", GetObjectRequest(object_id="thing", container_id="box"))


async def test_a_service_that_is_away_is_said_to_be_and_is_used_again_when_it_returns(server, tmp_path):
    async with provider_rig(BlobstoreS3, tmp_path) as rig:
        await rig.attach(**quick(server))
        await rig.call("Blobstore.CreateContainer", "box-one")
        server.kill()
        started = time.monotonic()
        for attempt in (
            rig.call("Blobstore.ListContainers"),
            rig.call("Blobstore.ContainerExists", "box-one"),
            put(rig, b"x", container="box-one"),
            get(rig),
            rig.provider.health(),
        ):
            with pytest.raises(errors.ProviderUnavailable, match="cannot be reached"):
                await attempt
        assert time.monotonic() - started < 60
        server.start()
        await rig.provider.health()
        assert await rig.call("Blobstore.ContainerExists", "box-one")


async def test_a_service_that_does_not_answer_is_given_up_on(server, tmp_path):
    async with provider_rig(BlobstoreS3, tmp_path) as rig:
        await rig.attach(**quick(server))
        await rig.call("Blobstore.CreateContainer", "box")
        server.pause()
        try:
            with pytest.raises(errors.ProviderUnavailable):
                async with asyncio.timeout(5):
                    await get(rig)
        finally:
            server.resume()


async def test_a_wrong_key_is_refused_and_no_secret_is_told(server, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "quite-wrong-secret-0815"
    async with provider_rig(BlobstoreS3, tmp_path) as rig:
        await rig.attach(**quick(server, secret_key=secret))
        with pytest.raises(errors.ProviderError, match=r"SignatureDoesNotMatch|AccessDenied") as caught:
            await rig.call("Blobstore.CreateContainer", "box")
        assert not isinstance(caught.value, errors.ProviderUnavailable)
        with pytest.raises(errors.ProviderError):
            await rig.provider.health()
    assert secret not in str(caught.value)
    assert secret not in caplog.text


def test_settings_do_not_show_the_secret():
    settings = validated(S3Settings, KEYS, "the link")
    assert SECRET_KEY not in repr(settings)
    assert SECRET_KEY not in settings.model_dump_json()
    with pytest.raises(errors.ConfigError) as caught:
        validated(S3Settings, KEYS | {"endpoint": "nonsense", "part_bytes": "1"}, "the link")
    assert SECRET_KEY not in str(caught.value)
    assert "endpoint" in str(caught.value)
    assert "part_bytes" in str(caught.value)


async def test_an_endpoint_that_is_no_address_is_refused_with_the_link(tmp_path):
    async with provider_rig(BlobstoreS3, tmp_path) as rig:
        with pytest.raises(errors.ConfigError, match="endpoint"):
            await rig.attach(**KEYS, endpoint="http://not a host")


async def open_parts(server: Server) -> list[str]:
    """The unfinished multipart uploads that the service knows, asked for by another client."""
    client = get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    async with client as s3:
        answer = await s3.list_multipart_uploads(Bucket="box")
    return [upload["Key"] for upload in answer.get("Uploads", [])]


async def test_parts_are_used_for_large_uploads_and_nothing_of_a_cancelled_one_stays(server, tmp_path):
    async with provider_rig(BlobstoreS3, tmp_path) as rig:
        await rig.attach(**KEYS, endpoint=server.url, part_bytes=str(5 * MIB))
        await rig.call("Blobstore.CreateContainer", "box")
        stream = (await put(rig, b"x" * (11 * MIB), last=False)).stream_id
        assert await open_parts(server) == ["thing"]
        chunk = Chunk(object_id="thing", container_id="box", bytes=b"", offset=11 * MIB, is_last=False)
        await rig.call("Blobstore.PutChunk", PutChunkRequest(chunk=chunk, stream_id=stream, cancel_and_remove=True))
        assert await open_parts(server) == []
        assert not (await get(rig)).success


async def test_stopping_the_provider_gives_up_its_unfinished_uploads(server, tmp_path):
    async with provider_rig(BlobstoreS3, tmp_path) as rig:
        await rig.attach(**KEYS, endpoint=server.url, part_bytes=str(5 * MIB))
        await rig.call("Blobstore.CreateContainer", "box")
        await put(rig, b"x" * (6 * MIB), last=False)
        assert await open_parts(server) == ["thing"]
    assert await open_parts(server) == []


@pytest.mark.parametrize("container", ["UPPER", "a", "under_score", "../..", "a/b", "x" * 64, "sp ace", "ä"])
async def test_a_name_that_no_bucket_can_have_is_an_error_of_the_call(server, tmp_path, container):
    async with provider_rig(BlobstoreS3, tmp_path) as rig:
        await rig.attach(**quick(server))
        with pytest.raises(errors.ProviderError) as caught:
            await rig.call("Blobstore.CreateContainer", container)
        assert not isinstance(caught.value, errors.ProviderUnavailable)
        assert await rig.call("Blobstore.ListContainers") == []


async def test_a_prefix_keeps_other_buckets_out_of_sight(server, tmp_path):
    async with provider_rig(BlobstoreS3, tmp_path) as rig:
        await rig.attach("all", **quick(server))
        await rig.attach("ours", **quick(server, bucket_prefix="ours-"))
        await rig.call("Blobstore.CreateContainer", "box", actor="ours")
        await rig.call("Blobstore.CreateContainer", "other", actor="all")
        ours = await rig.call("Blobstore.ListContainers", actor="ours")
        every = await rig.call("Blobstore.ListContainers", actor="all")
    assert [found.container_id for found in ours] == ["box"]
    assert [found.container_id for found in every] == ["other", "ours-box"]
