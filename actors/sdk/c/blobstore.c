/* wasmcloud:blobstore: objects in containers. */
#include "serve.h"

enum { PIECE = 262144 }; /* bytes asked for at once: a reply far below every payload limit */

static Reader blobstore(Text operation, const Buffer *message) {
    return mp_reader(call_provider(TEXT("wasmcloud:blobstore"), operation, buffer_text(message)));
}

void blob_create_container(Text container) {
    Buffer message = {0};
    mp_text(&message, container);
    Reader reader = blobstore(TEXT("Blobstore.ContainerExists"), &message);
    if (!failed() && !mp_read_bool(&reader)) blobstore(TEXT("Blobstore.CreateContainer"), &message);
}

void blob_put(Text container, Text object, Text content_type, Text bytes) {
    Buffer message = {0};
    mp_map(&message, 2);
    mp_text(&message, TEXT("chunk"));
    mp_map(&message, 5);
    mp_field(&message, TEXT("objectId"), object);
    mp_field(&message, TEXT("containerId"), container);
    mp_text(&message, TEXT("bytes"));
    mp_bytes(&message, bytes);
    mp_text(&message, TEXT("offset"));
    mp_int(&message, 0);
    mp_text(&message, TEXT("isLast"));
    mp_bool(&message, true);
    mp_field(&message, TEXT("contentType"), content_type);
    blobstore(TEXT("Blobstore.PutObject"), &message);
}

static Text read_chunk(Reader *reader) {
    Text bytes = {0};
    for (uint32_t left = mp_read_map(reader); left && !reader->bad; left--) {
        if (text_equal(mp_read_text(reader), TEXT("bytes")))
            bytes = mp_read_text(reader);
        else
            mp_skip(reader);
    }
    return bytes;
}

/* One piece of an object from `start`. `available` is what there is of it: a provider with small chunks gives less. */
static Blob read_piece(Text container, Text object, uint32_t start, int64_t *available) {
    Buffer message = {0};
    mp_map(&message, 4);
    mp_field(&message, TEXT("objectId"), object);
    mp_field(&message, TEXT("containerId"), container);
    mp_text(&message, TEXT("rangeStart"));
    mp_int(&message, start);
    mp_text(&message, TEXT("rangeEnd"));
    mp_int(&message, (int64_t)start + PIECE - 1);
    Reader reader = blobstore(TEXT("Blobstore.GetObject"), &message);
    Blob piece = {0};
    for (uint32_t left = failed() ? 0 : mp_read_map(&reader); left && !reader.bad; left--) {
        Text field = mp_read_text(&reader);
        if (text_equal(field, TEXT("success")))
            piece.found = mp_read_bool(&reader);
        else if (text_equal(field, TEXT("contentType")))
            piece.content_type = mp_read_text(&reader);
        else if (text_equal(field, TEXT("initialChunk")))
            piece.bytes = read_chunk(&reader);
        else if (text_equal(field, TEXT("contentLength")))
            *available = mp_read_int(&reader);
        else
            mp_skip(&reader);
    }
    if (reader.bad && !failed()) fail(TEXT("malformed_message: the blobstore's reply cannot be read"));
    return piece;
}

static int64_t object_size(Text container, Text object) {
    Buffer message = {0};
    mp_map(&message, 2);
    mp_field(&message, TEXT("objectId"), object);
    mp_field(&message, TEXT("containerId"), container);
    Reader reader = blobstore(TEXT("Blobstore.GetObjectInfo"), &message);
    int64_t size = 0;
    for (uint32_t left = failed() ? 0 : mp_read_map(&reader); left && !reader.bad; left--) {
        if (text_equal(mp_read_text(&reader), TEXT("contentLength")))
            size = mp_read_int(&reader);
        else
            mp_skip(&reader);
    }
    return size;
}

Blob blob_get(Text container, Text object) {
    int64_t available = 0;
    Blob blob = read_piece(container, object, 0, &available);
    if (available < PIECE && blob.bytes.size == available) return blob;
    int64_t size = object_size(container, object);
    Buffer bytes = {0};
    put(&bytes, blob.bytes);
    while (bytes.size < size && !failed()) {
        Blob piece = read_piece(container, object, bytes.size, &available);
        if (!piece.bytes.size) fail(TEXT("provider_error: the object became shorter while it was read"));
        put(&bytes, piece.bytes);
    }
    blob.bytes = buffer_text(&bytes);
    return blob;
}

void blob_delete(Text container, Text object) {
    Buffer message = {0};
    mp_map(&message, 2);
    mp_field(&message, TEXT("containerId"), container);
    mp_text(&message, TEXT("objects"));
    mp_array(&message, 1);
    mp_text(&message, object);
    blobstore(TEXT("Blobstore.RemoveObjects"), &message);
}

/* Reads the ids of one page into `names`; returns where the next begins, empty after the last. */
static Text read_names(Reader *reader, Buffer *names) {
    Text next = {0};
    bool last = true;
    for (uint32_t left = mp_read_map(reader); left && !reader->bad; left--) {
        Text field = mp_read_text(reader);
        if (text_equal(field, TEXT("isLast")))
            last = mp_read_bool(reader);
        else if (text_equal(field, TEXT("continuation")))
            next = mp_read_text(reader);
        else if (text_equal(field, TEXT("objects"))) {
            for (uint32_t objects = mp_read_array(reader); objects && !reader->bad; objects--)
                for (uint32_t members = mp_read_map(reader); members && !reader->bad; members--) {
                    if (text_equal(mp_read_text(reader), TEXT("objectId"))) {
                        Text name = mp_read_text(reader);
                        put(names, (Text){(const char *)&name, sizeof name});
                    } else
                        mp_skip(reader);
                }
        } else
            mp_skip(reader);
    }
    check(reader);
    return last || failed() ? TEXT("") : next;
}

TextList blob_list(Text container, Text prefix) {
    Buffer names = {0};
    Text next = TEXT("");
    do {
        Buffer message = {0};
        mp_map(&message, next.size ? 3 : 2);
        mp_field(&message, TEXT("containerId"), container);
        mp_field(&message, TEXT("startWith"), prefix);
        if (next.size) mp_field(&message, TEXT("continuation"), next);
        Reader reader = blobstore(TEXT("Blobstore.ListObjects"), &message);
        next = failed() ? TEXT("") : read_names(&reader, &names);
    } while (next.size);
    return (TextList){(const Text *)(const void *)names.at, names.size / (uint32_t)sizeof(Text)};
}
