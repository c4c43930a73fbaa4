package nanolattice

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"nanolattice/msgpack"
)

func TestRowsAndParametersAreCBOR(t *testing.T) {
	only(t, func() {})
	rows := "\x81\x89\x01\x21\x62\xc3\xa9\x41\xff\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00\xf6\xf5\xf9\x3c\x00\xc0\x61t"
	reply := msgpack.NewWriter().Map(1).Text("rows").Bytes([]byte(rows)).Done()
	Host = func(link, target, operation string, payload []byte) ([]byte, error) {
		reader := msgpack.NewReader(payload)
		reader.Map()
		sent := []string{reader.Text(), reader.Text(), reader.Text()}
		for left := reader.Array(); left > 0; left-- {
			sent = append(sent, string(reader.Bytes()))
		}
		want := []string{
			"sql", "select ?", "parameters", "\x62\xc3\xa9", "\x3a\x00\x00\x01\x2b", "\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
			"\xf6", "\xf4", "\x42\x01\x02", "\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00", "\x18\x64",
		}
		if link != "reports" || target != "wasmcloud:sqldb" || operation != "SqlDb.Query" || !slices.Equal(sent, want) {
			t.Errorf("%s %s %s %q", link, target, operation, sent)
		}
		return reply, nil
	}
	found, err := SQL.Open("reports").Query("select ?", "é", -300, uint64(math.MaxUint64), nil, false, []byte{1, 2}, 1.5, 100)
	want := [][]any{{int64(1), int64(-2), "é", []byte{255}, 1.5, nil, true, 1.0, "t"}}
	if err != nil || !reflect.DeepEqual(found.Rows, want) {
		t.Errorf("%v %v", found, err)
	}
	if _, err := SQL.Query("select ?", struct{}{}); CodeOf(err) != "invalid" {
		t.Error(err)
	}
}

func TestFailuresOfStatementsAndHostsKeepTheirWords(t *testing.T) {
	only(t, func() {})
	failure := msgpack.NewWriter().Map(1).Text("error").Map(2).Field("code", "db").Field("message", "no table")
	Host = says(failure.Done())
	if _, err := SQL.Execute("x"); err == nil || err.Error() != "sql: db: no table" {
		t.Error(err)
	}
	if *errorFromHost("not_linked: no: x") != (Error{"not_linked", "no: x"}) {
		t.Error("a code is a code")
	}
	if *errorFromHost("Some text: x") != (Error{"provider_error", "Some text: x"}) {
		t.Error("a text is none")
	}
}

func TestALargeObjectGoesInPieces(t *testing.T) {
	only(t, func() {})
	var asked []string
	Host = func(_, _, operation string, payload []byte) ([]byte, error) {
		if len(payload) > 300*1024 {
			t.Error(len(payload))
		}
		asked = append(asked, operation)
		return msgpack.NewWriter().Map(1).Field("streamId", "s").Done(), nil
	}
	if err := Blobs.Container("box").Put("big", "text/plain", make([]byte, 600*1024)); err != nil {
		t.Error(err)
	}
	if got := strings.Join(asked, " "); got != "Blobstore.PutObject Blobstore.PutChunk Blobstore.PutChunk" {
		t.Error(got)
	}
}

func TestStoredJSONThatCannotBeReadIsNotTheVisitorsFault(t *testing.T) {
	only(t, func() {})
	Host = says(msgpack.NewWriter().Map(2).Field("value", "{").Text("exists").Bool(true).Done())
	var value item
	if found, err := KeyValue.GetJSON("k", &value); !found || CodeOf(err) != "malformed_message" {
		t.Error(found, err)
	}
}
