package msgpack

import (
	"math"
	"strings"
	"testing"
)

func TestNumbersAndSizesComeBack(t *testing.T) {
	for _, number := range []int64{0, 1, -1, 127, 128, -32, -33, math.MaxUint32, math.MaxInt64, math.MinInt64} {
		reader := NewReader(NewWriter().Int(number).Done())
		if found := reader.Int(); found != number || reader.Failed() {
			t.Errorf("%d: %d", number, found)
		}
	}
	for _, size := range []int{0, 15, 16, 31, 32, 255, 256, 65_535, 65_536} {
		text := strings.Repeat("x", size)
		reader := NewReader(NewWriter().Text(text).Bytes([]byte(text)).Texts(make([]string, size)).Bool(true).Done())
		if reader.Text() != text || string(reader.Bytes()) != text || len(reader.Texts()) != size || !reader.Bool() {
			t.Error(size)
		}
	}
	for data, number := range map[string]int64{
		"\xcc\xc8": 200, "\xcd\xff\xff": 65_535, "\xd0\x80": -128, "\xd1\xff\x00": -256, "\xd2\x80\x00\x00\x00": math.MinInt32,
	} {
		if found := NewReader([]byte(data)).Int(); found != number {
			t.Errorf("%q: %d", data, found)
		}
	}
}

func TestEveryKindOfValueIsPassedOver(t *testing.T) {
	for _, kind := range []string{
		"\xc0", "\xca\x00\x00\x00\x00", "\xcb\x00\x00\x00\x00\x00\x00\x00\x00", "\xc7\x01\x05x", "\xc8\x00\x01\x05x",
		"\xc9\x00\x00\x00\x01\x05x", "\xd4\x01x", "\xd6\x01xxxx", "\xd8\x01xxxxxxxxxxxxxxxx", "\xdc\x00\x02\x01\x02",
		"\xde\x00\x01\xa1a\x01", "\xdf\x00\x00\x00\x01\xa1a\x90", "\xdd\x00\x00\x00\x01\xc2", "\xda\x00\x01a", "\xc4\x01a",
		"\xd3\x00\x00\x00\x00\x00\x00\x00\x00", "\xcf\xff\x00\x00\x00\x00\x00\x00\x00",
	} {
		reader := NewReader([]byte(kind + "\x2a"))
		if reader.Skip(); reader.Int() != 42 || reader.Failed() {
			t.Errorf("%q", kind)
		}
	}
}

func TestSizesThatLieAreFoundBeforeRoomIsMade(t *testing.T) {
	for _, lie := range []string{"\xdd\xff\xff\xff\xff\x01", "\xdf\xff\xff\xff\xff\x01", "\xc6\xff\xff\xff\xff\x01", "\xdb\x7f\xff\xff\xff"} {
		for _, read := range []func(*Reader){
			func(r *Reader) { r.Skip() }, func(r *Reader) { r.Texts() }, func(r *Reader) { r.Bytes() }, func(r *Reader) { r.Headers() },
		} {
			reader := NewReader([]byte(lie))
			if read(reader); !reader.Failed() {
				t.Errorf("%q", lie)
			}
		}
	}
}

func FuzzAnythingIsReadOrRefused(f *testing.F) {
	f.Add([]byte("\x82\xa1a\x92\x01\xc0\xa1b\xc4\x01x"))
	f.Add([]byte("\xc1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := NewReader(data)
		reader.Fields(func(name string) bool { return name == "a" && reader.Int() != 0 })
		NewReader(data).Skip()
	})
}
