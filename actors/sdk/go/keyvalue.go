package nanolattice

import "nanolattice/msgpack"

const keyValue = "wasmcloud:keyvalue"

// Store has values, counters, lists and sets under keys.
type Store struct{ link string }

// KeyValue is the store behind the link "default".
var KeyValue = Store{defaultLink}

// Open is the store behind the link of this name.
func (Store) Open(link string) Store { return Store{link} }

func (s Store) ask(operation string, message *msgpack.Writer) (*msgpack.Reader, error) {
	reply, err := Provider(s.link, keyValue, operation, message.Done())
	return msgpack.NewReader(reply), err
}

func (s Store) askText(operation, text string) (*msgpack.Reader, error) {
	return s.ask(operation, msgpack.NewWriter().Text(text))
}

// askValue is about a value in a list or set: field is what the contract calls the name of it.
func (s Store) askValue(operation, field, name, value string) (*msgpack.Reader, error) {
	return s.ask(operation, msgpack.NewWriter().Map(2).Field(field, name).Field("value", value))
}

// read takes one value of a reply.
func read[T any](reader *msgpack.Reader, err error, take func(*msgpack.Reader) T) (value T, _ error) {
	if err != nil {
		return value, err
	}
	value = take(reader)
	if reader.Failed() {
		return value, malformed("the reply")
	}
	return value, nil
}

func readBool(reader *msgpack.Reader, err error) (bool, error) {
	return read(reader, err, (*msgpack.Reader).Bool)
}

func readInt(reader *msgpack.Reader, err error) (int64, error) {
	return read(reader, err, (*msgpack.Reader).Int)
}

func readTexts(reader *msgpack.Reader, err error) ([]string, error) {
	return read(reader, err, (*msgpack.Reader).Texts)
}

// Get is the value under a key, and whether there is one.
func (s Store) Get(key string) (value string, found bool, err error) {
	reader, err := s.askText("KeyValue.Get", key)
	if err != nil {
		return "", false, err
	}
	reader.Fields(func(name string) bool {
		switch name {
		case "value":
			value = reader.Text()
		case "exists":
			found = reader.Bool()
		default:
			return false
		}
		return true
	})
	if reader.Failed() {
		return "", false, malformed("the reply")
	}
	return value, found, nil
}

func (s Store) Set(key, value string) error { return s.SetFor(key, value, 0) }

// SetFor sets a value that is gone after this many seconds; 0 means never.
func (s Store) SetFor(key, value string, seconds uint32) error {
	message := msgpack.NewWriter().Map(3).Field("key", key).Field("value", value).Text("expires").Int(int64(seconds))
	_, err := s.ask("KeyValue.Set", message)
	return err
}

// GetJSON reads what was stored as JSON into what into points to, and says whether there was something.
func (s Store) GetJSON(key string, into any) (found bool, err error) {
	value, found, err := s.Get(key)
	if err != nil || !found {
		return false, err
	}
	return true, fromElsewhere("what is stored under "+key, []byte(value), into)
}

func (s Store) SetJSON(key string, value any) error {
	encoded, err := encodeJSON(value)
	if err != nil {
		return err
	}
	return s.Set(key, string(encoded))
}

// Delete says whether it was there.
func (s Store) Delete(key string) (bool, error) { return readBool(s.askText("KeyValue.Del", key)) }

func (s Store) Contains(key string) (bool, error) {
	return readBool(s.askText("KeyValue.Contains", key))
}

// Increment is atomic and gives the new value. A key that is not there counts from 0.
func (s Store) Increment(key string, by int32) (int32, error) {
	message := msgpack.NewWriter().Map(2).Field("key", key).Text("value").Int(int64(by))
	value, err := readInt(s.ask("KeyValue.Increment", message))
	return int32(value), err
}

// ListAdd adds at the end and gives the new length.
func (s Store) ListAdd(list, value string) (int, error) {
	length, err := readInt(s.askValue("KeyValue.ListAdd", "listName", list, value))
	return int(length), err
}

// ListRemove says whether it was there.
func (s Store) ListRemove(list, value string) (bool, error) {
	return readBool(s.askValue("KeyValue.ListDel", "listName", list, value))
}

// ListRange includes both ends; -1 is the last.
func (s Store) ListRange(list string, start, stop int32) ([]string, error) {
	message := msgpack.NewWriter().Map(3).Field("listName", list).Text("start").Int(int64(start))
	return readTexts(s.ask("KeyValue.ListRange", message.Text("stop").Int(int64(stop))))
}

func (s Store) ListClear(list string) (bool, error) {
	return readBool(s.askText("KeyValue.ListClear", list))
}

// SetAdd is false when it was there already.
func (s Store) SetAdd(set, value string) (bool, error) {
	added, err := readInt(s.askValue("KeyValue.SetAdd", "setName", set, value))
	return added > 0, err
}

// SetRemove says whether it was there.
func (s Store) SetRemove(set, value string) (bool, error) {
	removed, err := readInt(s.askValue("KeyValue.SetDel", "setName", set, value))
	return removed > 0, err
}

func (s Store) SetMembers(set string) ([]string, error) {
	return readTexts(s.askText("KeyValue.SetQuery", set))
}

func (s Store) SetUnion(sets ...string) ([]string, error) {
	return readTexts(s.ask("KeyValue.SetUnion", msgpack.NewWriter().Texts(sets)))
}

func (s Store) SetIntersection(sets ...string) ([]string, error) {
	return readTexts(s.ask("KeyValue.SetIntersection", msgpack.NewWriter().Texts(sets)))
}

func (s Store) SetClear(set string) (bool, error) {
	return readBool(s.askText("KeyValue.SetClear", set))
}
