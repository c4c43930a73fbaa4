// Package msgpack reads and writes MessagePack, as far as the contracts use it. For contracts that the SDK has nothing
// for.
package msgpack

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// Writer writes one message; its functions return it.
type Writer struct{ out []byte }

func NewWriter() *Writer { return &Writer{} }

// Done is the message.
func (w *Writer) Done() []byte { return w.out }

// head is small up to most; else one byte (texts only), two or four.
func (w *Writer) head(count int, small byte, most int, one, two, four byte) {
	switch {
	case count <= most:
		w.out = append(w.out, small|byte(count))
	case count <= math.MaxUint8 && one != 0:
		w.out = append(w.out, one, byte(count))
	case count <= math.MaxUint16:
		w.out = binary.BigEndian.AppendUint16(append(w.out, two), uint16(count))
	default:
		w.out = binary.BigEndian.AppendUint32(append(w.out, four), uint32(count))
	}
}

// Map says that count pairs follow.
func (w *Writer) Map(count int) *Writer {
	w.head(count, 0x80, 15, 0, 0xde, 0xdf)
	return w
}

// Array says that count values follow.
func (w *Writer) Array(count int) *Writer {
	w.head(count, 0x90, 15, 0, 0xdc, 0xdd)
	return w
}

func (w *Writer) Text(text string) *Writer {
	w.head(len(text), 0xa0, 31, 0xd9, 0xda, 0xdb)
	w.out = append(w.out, text...)
	return w
}

func (w *Writer) Texts(texts []string) *Writer {
	w.Array(len(texts))
	for _, text := range texts {
		w.Text(text)
	}
	return w
}

func (w *Writer) Bytes(bytes []byte) *Writer {
	w.head(len(bytes), 0, -1, 0xc4, 0xc5, 0xc6)
	w.out = append(w.out, bytes...)
	return w
}

func (w *Writer) Int(number int64) *Writer {
	if number >= -32 && number <= 0x7f {
		w.out = append(w.out, byte(number))
	} else {
		w.out = binary.BigEndian.AppendUint64(append(w.out, 0xd3), uint64(number))
	}
	return w
}

func (w *Writer) Bool(yes bool) *Writer {
	if yes {
		w.out = append(w.out, 0xc3)
	} else {
		w.out = append(w.out, 0xc2)
	}
	return w
}

func (w *Writer) Nil() *Writer {
	w.out = append(w.out, 0xc0)
	return w
}

// Field is a text under a name.
func (w *Writer) Field(name, value string) *Writer { return w.Text(name).Text(value) }

// Reader reads one message. Every function takes the next value. When it is another kind, this and all that follow give
// zeros, and Failed is true.
type Reader struct {
	left []byte
	bad  bool
}

func NewReader(message []byte) *Reader { return &Reader{left: message} }

// Failed says whether something was not what it should have been.
func (r *Reader) Failed() bool { return r.bad }

func (r *Reader) take(size uint64) []byte {
	if r.bad || size > uint64(len(r.left)) {
		r.bad = true
		return nil
	}
	taken := r.left[:size]
	r.left = r.left[size:]
	return taken
}

func (r *Reader) number(size uint64) (number uint64) {
	for _, octet := range r.take(size) {
		number = number<<8 | uint64(octet)
	}
	return number
}

func (r *Reader) mark() byte { return byte(r.number(1)) }

func (r *Reader) fail() { r.bad = true }

// count is of things of which each has at least one byte: a larger one is a lie, found before room is made for it.
func (r *Reader) count(size uint64) uint64 {
	count := r.number(size)
	if count > uint64(len(r.left)) {
		r.fail()
		return 0
	}
	return count
}

// few is how many pairs or values follow.
func (r *Reader) few(small, two, four byte) int {
	switch mark := r.mark(); {
	case mark&0xf0 == small:
		return int(mark & 0x0f)
	case mark == two:
		return int(r.count(2))
	case mark == four:
		return int(r.count(4))
	}
	r.fail()
	return 0
}

// Map is how many pairs follow.
func (r *Reader) Map() int { return r.few(0x80, 0xde, 0xdf) }

// Array is how many values follow.
func (r *Reader) Array() int { return r.few(0x90, 0xdc, 0xdd) }

func (r *Reader) octets() []byte {
	switch mark := r.mark(); {
	case mark&0xe0 == 0xa0:
		return r.take(uint64(mark & 0x1f))
	case mark == 0xc4 || mark == 0xd9:
		return r.take(r.count(1))
	case mark == 0xc5 || mark == 0xda:
		return r.take(r.count(2))
	case mark == 0xc6 || mark == 0xdb:
		return r.take(r.count(4))
	}
	r.fail()
	return nil
}

func (r *Reader) Text() string {
	text := string(r.octets())
	if !utf8.ValidString(text) {
		r.fail()
		return ""
	}
	return text
}

func (r *Reader) Texts() []string {
	texts := []string{}
	for left := r.Array(); left > 0 && !r.bad; left-- {
		texts = append(texts, r.Text())
	}
	return texts
}

// Headers are names with their values.
func (r *Reader) Headers() map[string][]string {
	headers := map[string][]string{}
	for left := r.Map(); left > 0 && !r.bad; left-- {
		name := r.Text()
		headers[name] = r.Texts()
	}
	return headers
}

// Bytes are a copy, also of a text.
func (r *Reader) Bytes() []byte { return append([]byte{}, r.octets()...) }

func (r *Reader) Int() int64 {
	switch mark := r.mark(); {
	case mark <= 0x7f || mark >= 0xe0:
		return int64(int8(mark))
	case mark >= 0xcc && mark <= 0xcf:
		number := r.number(1 << (mark - 0xcc))
		if number > math.MaxInt64 {
			r.fail()
		}
		return int64(number)
	case mark >= 0xd0 && mark <= 0xd3:
		bytes := uint64(1) << (mark - 0xd0)
		shift := 64 - 8*bytes
		return int64(r.number(bytes)<<shift) >> shift
	}
	r.fail()
	return 0
}

func (r *Reader) Bool() bool {
	mark := r.mark()
	if mark != 0xc2 && mark != 0xc3 {
		r.fail()
	}
	return mark == 0xc3
}

// Nil is true when the next value is nil, which is taken.
func (r *Reader) Nil() bool {
	isNil := !r.bad && len(r.left) > 0 && r.left[0] == 0xc0
	if isNil {
		r.left = r.left[1:]
	}
	return isNil
}

// Skip passes over one value with all that is in it.
func (r *Reader) Skip() {
	for values := uint64(1); values > 0 && !r.bad; values-- {
		switch mark := r.mark(); {
		case mark <= 0x7f || mark >= 0xe0 || mark == 0xc0 || mark == 0xc2 || mark == 0xc3:
		case mark <= 0x8f:
			values += 2 * uint64(mark&0x0f)
		case mark <= 0x9f:
			values += uint64(mark & 0x0f)
		case mark <= 0xbf:
			r.take(uint64(mark & 0x1f))
		case mark >= 0xc4 && mark <= 0xc6:
			r.take(r.count(1 << (mark - 0xc4)))
		case mark >= 0xc7 && mark <= 0xc9:
			r.take(r.count(1<<(mark-0xc7)) + 1)
		case mark == 0xca || mark == 0xcb:
			r.take(4 << (mark - 0xca))
		case mark >= 0xcc && mark <= 0xcf:
			r.take(1 << (mark - 0xcc))
		case mark >= 0xd0 && mark <= 0xd3:
			r.take(1 << (mark - 0xd0))
		case mark >= 0xd4 && mark <= 0xd8:
			r.take(1 + 1<<(mark-0xd4))
		case mark >= 0xd9 && mark <= 0xdb:
			r.take(r.count(1 << (mark - 0xd9)))
		case mark == 0xdc || mark == 0xdd:
			values += r.count(2 << (mark - 0xdc))
		case mark == 0xde || mark == 0xdf:
			values += 2 * r.count(2<<(mark-0xde))
		default:
			r.fail()
		}
	}
}

// Fields reads a struct: take reads the value of those it knows and says so. Nil counts as not there.
func (r *Reader) Fields(take func(name string) bool) {
	for left := r.Map(); left > 0 && !r.bad; left-- {
		name := r.Text()
		if !r.bad && !r.Nil() && !take(name) {
			r.Skip()
		}
	}
}
