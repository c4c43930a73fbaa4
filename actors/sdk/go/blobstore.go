package nanolattice

import "nanolattice/msgpack"

const (
	blobstore = "wasmcloud:blobstore"

	// chunkBytes is one call's share of an object on its way. Well below the limit of a payload.
	chunkBytes = 256 * 1024
)

// BlobStore has objects in containers.
type BlobStore struct{ link string }

// Blobs is the store behind the link "default".
var Blobs = BlobStore{defaultLink}

// Open is the store behind the link of this name.
func (BlobStore) Open(link string) BlobStore { return BlobStore{link} }

// Container is one container of a store.
type Container struct{ link, id string }

// Container makes nothing and asks nothing.
func (b BlobStore) Container(id string) Container { return Container{b.link, id} }

// Blob is an object. Bytes are not there in what List gives.
type Blob struct {
	Name        string
	Size        int64
	ContentType string
	Bytes       []byte
}

func (c Container) ask(operation string, message *msgpack.Writer) (*msgpack.Reader, error) {
	reply, err := Provider(c.link, blobstore, operation, message.Done())
	return msgpack.NewReader(reply), err
}

func (c Container) object(name string) *msgpack.Writer {
	return msgpack.NewWriter().Map(2).Field("containerId", c.id).Field("objectId", name)
}

// Create is fine when it is there.
func (c Container) Create() error {
	_, err := c.ask("Blobstore.CreateContainer", msgpack.NewWriter().Text(c.id))
	return err
}

func (c Container) Exists() (bool, error) {
	return readBool(c.ask("Blobstore.ContainerExists", msgpack.NewWriter().Text(c.id)))
}

func (c Container) chunk(message *msgpack.Writer, name string, bytes []byte, offset int, isLast bool) *msgpack.Writer {
	message.Text("chunk").Map(5).Field("containerId", c.id).Field("objectId", name).Text("bytes").Bytes(bytes)
	return message.Text("offset").Int(int64(offset)).Text("isLast").Bool(isLast)
}

// Put stores the whole object, in as many calls as it takes.
func (c Container) Put(name, contentType string, bytes []byte) error {
	end := min(chunkBytes, len(bytes))
	message := c.chunk(msgpack.NewWriter().Map(2), name, bytes[:end], 0, end == len(bytes))
	reader, err := c.ask("Blobstore.PutObject", message.Field("contentType", contentType))
	if err != nil {
		return err
	}
	stream := ""
	reader.Fields(func(name string) bool {
		if name == "streamId" {
			stream = reader.Text()
		}
		return name == "streamId"
	})
	if reader.Failed() {
		return malformed("the reply")
	}
	for start := end; start < len(bytes); start = end {
		end = min(start+chunkBytes, len(bytes))
		message := msgpack.NewWriter().Map(2)
		if stream != "" {
			message = msgpack.NewWriter().Map(3).Field("streamId", stream)
		}
		message = c.chunk(message, name, bytes[start:end], start, end == len(bytes))
		if _, err := c.ask("Blobstore.PutChunk", message.Text("cancelAndRemove").Bool(false)); err != nil {
			return err
		}
	}
	return nil
}

// Get is the whole object, in as many calls as it takes; nil if it is not there.
func (c Container) Get(name string) (*Blob, error) {
	blob, err := c.Info(name)
	if err != nil || blob == nil {
		return nil, err
	}
	blob.Bytes = make([]byte, 0, blob.Size)
	for int64(len(blob.Bytes)) < blob.Size {
		piece, err := c.piece(name, int64(len(blob.Bytes)), blob.Size)
		if err != nil {
			return nil, err
		}
		if len(piece) == 0 {
			return nil, Conflict(name + " was replaced while it was read")
		}
		blob.Bytes = append(blob.Bytes, piece...)
	}
	return blob, nil
}

func (c Container) piece(name string, start, size int64) (bytes []byte, err error) {
	end := min(size, start+chunkBytes) - 1
	message := msgpack.NewWriter().Map(4).Field("containerId", c.id).Field("objectId", name)
	reader, err := c.ask("Blobstore.GetObject", message.Text("rangeStart").Int(start).Text("rangeEnd").Int(end))
	if err != nil {
		return nil, err
	}
	success, why := false, ""
	reader.Fields(func(name string) bool {
		switch name {
		case "success":
			success = reader.Bool()
		case "error":
			why = reader.Text()
		case "initialChunk":
			reader.Fields(func(name string) bool {
				if name == "bytes" {
					bytes = reader.Bytes()
				}
				return name == "bytes"
			})
		default:
			return false
		}
		return true
	})
	switch {
	case reader.Failed():
		return nil, malformed("the reply")
	case !success:
		return nil, Fail("provider_error", why)
	}
	return bytes, nil
}

// Info is the object without its bytes; nil if it is not there.
func (c Container) Info(name string) (*Blob, error) {
	there, err := readBool(c.ask("Blobstore.ObjectExists", c.object(name)))
	if err != nil || !there {
		return nil, err
	}
	reader, err := c.ask("Blobstore.GetObjectInfo", c.object(name))
	blob, err := read(reader, err, readBlob)
	return &blob, err
}

// Delete says whether it was there.
func (c Container) Delete(name string) (bool, error) {
	there, err := readBool(c.ask("Blobstore.ObjectExists", c.object(name)))
	if err != nil {
		return false, err
	}
	message := msgpack.NewWriter().Map(2).Field("containerId", c.id).Text("objects").Texts([]string{name})
	reader, err := c.ask("Blobstore.RemoveObjects", message)
	failures, err := read(reader, err, (*msgpack.Reader).Array)
	if err == nil && failures > 0 {
		err = Fail("provider_error", name+" cannot be removed")
	}
	return there, err
}

// List is the objects whose names begin like this, in the order of their names.
func (c Container) List(start string) (found []Blob, err error) {
	for next, more := "", true; more; {
		message := msgpack.NewWriter().Map(2)
		if next != "" {
			message = msgpack.NewWriter().Map(3).Field("continuation", next)
		}
		reader, err := c.ask("Blobstore.ListObjects", message.Field("containerId", c.id).Field("startWith", start))
		if err != nil {
			return nil, err
		}
		next = ""
		reader.Fields(func(name string) bool {
			switch name {
			case "objects":
				for left := reader.Array(); left > 0 && !reader.Failed(); left-- {
					found = append(found, readBlob(reader))
				}
			case "continuation":
				next = reader.Text()
			default:
				return false
			}
			return true
		})
		if reader.Failed() {
			return nil, malformed("the reply")
		}
		more = next != ""
	}
	return found, nil
}

func readBlob(reader *msgpack.Reader) (blob Blob) {
	reader.Fields(func(name string) bool {
		switch name {
		case "objectId":
			blob.Name = reader.Text()
		case "contentLength":
			blob.Size = reader.Int()
		case "contentType":
			blob.ContentType = reader.Text()
		default:
			return false
		}
		return true
	})
	return blob
}
