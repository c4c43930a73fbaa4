"""A component that calls what there is of the interfaces and answers with what came of it, as JSON."""

import json
import os
import random
import sys
import time

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import atomics, batch, blobstore, consumer, logging, outgoing_handler
from wit_world.imports import wasi_config_store as config
from wit_world.imports import wasi_keyvalue_store as store
from wit_world.imports.wasi_blobstore_types import IncomingValue, OutgoingValue
from wit_world.imports.wasi_http_types import (
    Fields,
    Method_Post,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
)
from wit_world.imports.wasmcloud_messaging_types import BrokerMessage


def reason(attempt):
    try:
        return attempt()
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def surroundings():
    begin = time.monotonic()
    time.sleep(0.02)
    return {
        "slept": time.monotonic() - begin >= 0.02,
        "environment": dict(os.environ),
        "wall clock": time.time() > 1_700_000_000,
        "random": random.SystemRandom().random() != random.SystemRandom().random(),
        "config": [config.get("key"), config.get("nothing"), config.get_all()],
    }


def files():
    with open("/data/given.txt") as file:
        given = file.read()
    with open("/data/sub/new.txt", "w") as file:
        file.write("written " * 10_000)
    with open("/data/sub/new.txt", "a") as file:
        file.write("end")
    os.rename("/data/sub/new.txt", "/data/sub/renamed.txt")
    return {
        "given": given,
        "names": sorted(os.listdir("/data")),
        "size": os.path.getsize("/data/sub/renamed.txt"),
        "outside": reason(lambda: open("/data/../secret").read()),
        "elsewhere": reason(lambda: open("/etc/passwd").read()),
    }


def keyvalue():
    bucket = store.open("")
    bucket.set("key", b"value")
    late = atomics.Cas.new(bucket, "swapped")
    atomics.swap(atomics.Cas.new(bucket, "swapped"), b"\xff")
    try:
        atomics.swap(late, b"lost")
    except Err as error:
        current = error.value.value.current()
        atomics.swap(error.value.value, b"again")
    return {
        "value": bucket.get("key").decode(),
        "exists": bucket.exists("key"),
        "counter": [atomics.increment(bucket, "counter", 3), atomics.increment(bucket, "counter", 4)],
        "many": [item is not None for item in batch.get_many(bucket, ["key", "nothing"])],
        "wide": atomics.increment(bucket, "wide", -(2**62)),
        "left by others": current.hex(),
        "swapped": bucket.get("swapped").decode(),
        "keys": [sorted(bucket.list_keys(None).keys), bucket.list_keys(None).cursor],
    }


def blobs():
    box = blobstore.create_container("box")
    value = OutgoingValue.new_outgoing_value()
    with value.outgoing_value_write_body() as stream:
        box.write_data("object", value)
        for _ in range(100):
            stream.blocking_write_and_flush(b"x" * 4096)
    OutgoingValue.finish(value)
    found = box.get_data("object", 0, 2**63)
    size = found.size()
    data = IncomingValue.incoming_value_consume_sync(found)
    return {"size": size, "same": data == b"x" * 409_600, "names": box.list_objects().read_stream_object_names(10)}


def http(authority):
    request = OutgoingRequest(Fields.from_list([("x-from", b"component")]))
    request.set_scheme(Scheme_Http())
    request.set_authority(authority)
    request.set_path_with_query("/path?q=1")
    request.set_method(Method_Post())
    body = request.body()
    future = outgoing_handler.handle(request, None)
    with body.write() as stream:
        stream.blocking_write_and_flush(b"payload")
    OutgoingBody.finish(body, None)
    with future.subscribe() as pollable:
        pollable.block()
    response = future.get().value.value
    stream, data = response.consume().stream(), b""
    try:
        while True:
            data += stream.blocking_read(1000)
    except Err:
        pass
    return {"status": response.status(), "body": data.decode()}


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        print("printed")
        print("complained", file=sys.stderr)
        logging.log(logging.Level.INFO, "context", "logged")
        consumer.publish(BrokerMessage("subject", b"body", None))
        found = {
            "surroundings": reason(surroundings),
            "files": reason(files),
            "keyvalue": reason(keyvalue),
            "blobs": reason(blobs),
            "http": reason(lambda: http(config.get("authority"))),
        }
        response = OutgoingResponse(Fields.from_list([("content-type", b"application/json")]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        data = json.dumps(found).encode()
        with body.write() as stream:
            for start in range(0, len(data), 4096):
                stream.blocking_write_and_flush(data[start : start + 4096])
        OutgoingBody.finish(body, None)


class Handler(exports.Handler):
    def handle_message(self, msg):
        if msg.subject == "bad":
            raise Err("not that one")
        print("got", msg.body.decode())


class Run(exports.Run):
    def run(self):
        print("ran")
