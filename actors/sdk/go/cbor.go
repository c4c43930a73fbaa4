package nanolattice

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
)

// cborTagsMax is how many tags may stand before a value. None has more than one.
const cborTagsMax = 16

func appendCBOR(out []byte, value any) ([]byte, error) {
	if value == nil {
		return append(out, 0xf6), nil
	}
	if bytes, isBytes := value.([]byte); isBytes {
		return append(cborHead(out, 2, uint64(len(bytes))), bytes...), nil
	}
	switch found := reflect.ValueOf(value); found.Kind() {
	case reflect.Bool:
		if found.Bool() {
			return append(out, 0xf5), nil
		}
		return append(out, 0xf4), nil
	case reflect.String:
		return append(cborHead(out, 3, uint64(found.Len())), found.String()...), nil
	case reflect.Float32, reflect.Float64:
		return binary.BigEndian.AppendUint64(append(out, 0xfb), math.Float64bits(found.Float())), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if number := found.Int(); number < 0 {
			return cborHead(out, 1, uint64(^number)), nil
		}
		return cborHead(out, 0, uint64(found.Int())), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return cborHead(out, 0, found.Uint()), nil
	}
	return nil, Invalid(fmt.Sprintf("a parameter of a statement is a %T; it takes texts, numbers, bools, bytes and nil", value))
}

func cborHead(out []byte, major byte, number uint64) []byte {
	major <<= 5
	switch {
	case number < 24:
		return append(out, major|byte(number))
	case number <= math.MaxUint8:
		return append(out, major|24, byte(number))
	case number <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(out, major|26), uint32(number))
	}
	return binary.BigEndian.AppendUint64(append(out, major|27), number)
}

// readRows reads an array of arrays of plain values.
func readRows(data []byte) ([][]any, error) {
	reader := &cborReader{left: data}
	rows := [][]any{}
	for left := reader.array(); left > 0 && !reader.bad; left-- {
		row := []any{}
		for width := reader.array(); width > 0 && !reader.bad; width-- {
			row = append(row, reader.value())
		}
		rows = append(rows, row)
	}
	if reader.bad {
		return nil, malformed("a row of the result")
	}
	return rows, nil
}

// cborReader gives zeros once something was bad.
type cborReader struct {
	left []byte
	bad  bool
}

func (r *cborReader) take(size uint64) []byte {
	if r.bad || size > uint64(len(r.left)) {
		r.bad = true
		return nil
	}
	taken := r.left[:size]
	r.left = r.left[size:]
	return taken
}

// head is the major type, the five bits below it, and the number they lead to.
func (r *cborReader) head() (major, short byte, number uint64) {
	first := r.take(1)
	if r.bad {
		return 0, 0, 0
	}
	major, short = first[0]>>5, first[0]&31
	switch {
	case short < 24:
		return major, short, uint64(short)
	case short > 27:
		r.bad = true
		return 0, 0, 0
	}
	for _, octet := range r.take(1 << (short - 24)) {
		number = number<<8 | uint64(octet)
	}
	return major, short, number
}

func (r *cborReader) array() uint64 {
	major, _, count := r.head()
	if major != 4 || count > uint64(len(r.left)) {
		r.bad = true
		return 0
	}
	return count
}

// value reads one plain value. A tag is left off: what it marks has a plain form of its own.
func (r *cborReader) value() any {
	for range cborTagsMax {
		major, short, number := r.head()
		switch {
		case r.bad:
			return nil
		case major == 0 && number <= math.MaxInt64:
			return int64(number)
		case major == 0:
			return float64(number)
		case major == 1 && number <= math.MaxInt64:
			return ^int64(number)
		case major == 1:
			return -1 - float64(number)
		case major == 2:
			return append([]byte{}, r.take(number)...)
		case major == 3:
			return string(r.take(number))
		case major == 6:
			continue
		case major == 7 && (short == 20 || short == 21):
			return short == 21
		case major == 7 && (short == 22 || short == 23):
			return nil
		case major == 7 && short == 25:
			return half(uint16(number))
		case major == 7 && short == 26:
			return float64(math.Float32frombits(uint32(number)))
		case major == 7 && short == 27:
			return math.Float64frombits(number)
		}
		break
	}
	r.bad = true
	return nil
}

// half is a float of 16 bits.
func half(bits uint16) float64 {
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	size := math.Ldexp(1+fraction/1024, exponent-15)
	switch {
	case exponent == 0:
		size = math.Ldexp(fraction, -24)
	case exponent == 31 && fraction == 0:
		size = math.Inf(1)
	case exponent == 31:
		size = math.NaN()
	}
	if bits&0x8000 != 0 {
		return -size
	}
	return size
}
