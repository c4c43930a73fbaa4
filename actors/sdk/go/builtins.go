package nanolattice

import "nanolattice/msgpack"

const (
	logging   = "wasmcloud:builtin:logging"
	numbergen = "wasmcloud:builtin:numbergen"
)

// Logger writes lines into the host's log. That one cannot be written is nobody's concern who handles a request.
type Logger struct{}

// Log writes under the actor's own name.
var Log Logger

func (Logger) Debug(text string) { write("debug", text) }
func (Logger) Info(text string)  { write("info", text) }
func (Logger) Warn(text string)  { write("warn", text) }
func (Logger) Error(text string) { write("error", text) }

func write(level, text string) {
	entry := msgpack.NewWriter().Map(2).Field("level", level).Field("text", text)
	_, _ = Provider(defaultLink, logging, "Logging.WriteLog", entry.Done())
}

// Random is any number of 32 bits. It comes from the host's contract; crypto/rand works too and needs none.
func Random() (uint32, error) {
	reply, err := Provider(defaultLink, numbergen, "NumberGen.Random32", nil)
	number, err := readInt(msgpack.NewReader(reply), err)
	return uint32(number), err
}

// RandomBetween includes both ends.
func RandomBetween(least, most uint32) (uint32, error) {
	message := msgpack.NewWriter().Map(2).Text("min").Int(int64(least)).Text("max").Int(int64(most))
	reply, err := Provider(defaultLink, numbergen, "NumberGen.RandomInRange", message.Done())
	number, err := readInt(msgpack.NewReader(reply), err)
	return uint32(number), err
}

// GUID is a UUID of version 4, in lower case.
func GUID() (string, error) {
	reply, err := Provider(defaultLink, numbergen, "NumberGen.GenerateGuid", nil)
	return read(msgpack.NewReader(reply), err, (*msgpack.Reader).Text)
}
