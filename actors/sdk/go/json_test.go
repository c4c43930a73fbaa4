package nanolattice

import (
	"strings"
	"testing"
	"time"
)

type item struct {
	Price float64 `json:"price"`
}

type named struct {
	ID uint16 `json:"id"`
}

type order struct {
	named
	Kind   string            `json:"kind"`
	Count  int8              `json:"count"`
	ShipTo *string           `json:"shipTo"`
	Note   string            `json:"note,omitempty"`
	Items  []item            `json:"items"`
	Extra  map[string]item   `json:"extra"`
	When   time.Time         `json:"when"`
	Any    any               `json:"any"`
	Hidden map[string]string `json:"-"`
	secret int
}

const whole = `{"id":1,"kind":"k","count":2,"items":[{"price":1}],"extra":{"x":{"price":2}},` +
	`"when":"2026-11-25T00:00:00Z","any":null}`

func TestARecordIsRead(t *testing.T) {
	var read order
	if err := decodeJSON([]byte(whole), &read); err != nil || read.secret != 0 {
		t.Fatal(err)
	}
	if read.ID != 1 || read.Items[0].Price != 1 || read.Extra["x"].Price != 2 || read.When.Year() != 2026 {
		t.Fatalf("%+v", read)
	}
}

func TestWhatDoesNotFitNamesTheField(t *testing.T) {
	cases := []struct{ from, to, why string }{
		{`"kind":"k"`, `"other":1`, "kind is missing"},
		{`"kind":"k"`, `"kind":null`, "kind is missing"},
		{`"kind":"k"`, `"KIND":7`, "kind must be a text"},
		{`"any":null`, `"none":null`, "any is missing"},
		{`"items":[{"price":1}]`, `"items":[{"price":1},{}]`, "items.1.price is missing"},
		{`"items":[{"price":1}]`, `"items":{}`, "items must be a list"},
		{`"items":[{"price":1}]`, `"items":[{"price":1},null]`, "items.1 is missing"},
		{`"x":{"price":2}`, `"x":{}`, "extra.x.price is missing"},
		{`"x":{"price":2}`, `"x":{"price":"2"}`, "extra.price must be a number"},
		{`"count":2`, `"count":200`, "count must be a whole number from -128 to 127"},
		{`"count":2`, `"count":2.5`, "count must be a whole number from -128 to 127"},
		{`"count":2`, `"count":1e400`, "count must be a whole number from -128 to 127"},
		{`"count":2`, `"count":2,"shipTo":1`, "shipTo must be a text"},
		{whole, `[]`, "the body must be an object"},
		{whole, `null`, "the body must be an object"},
		{whole, ``, "the body is not JSON"},
		{whole, `{} {}`, "the body is not JSON"},
		{whole, `{"a":"` + "\xff" + `"}`, "the body has a text that is not Unicode"},
		{whole, `{"a":"\ud800"}`, "the body has a text that is not Unicode"},
		{whole, `{"a":"\ud800x\udc00"}`, "the body has a text that is not Unicode"},
		{whole, `{"a":"\udc00"}`, "the body has a text that is not Unicode"},
	}
	for _, c := range cases {
		var read order
		err := decodeJSON([]byte(strings.Replace(whole, c.from, c.to, 1)), &read)
		if CodeOf(err) != "invalid" || !strings.HasPrefix(messageOf(err), c.why) {
			t.Errorf("%s: %v, and not %s", c.to, err, c.why)
		}
	}
	for _, good := range []string{`"\ud83d\ude00"`, `"\\ud800"`, `"\\\ud83d\ude00"`, `"é"`} {
		if !isText([]byte(good)) {
			t.Errorf("%s is a text", good)
		}
	}
}

func FuzzAnyBodyIsReadOrRefused(f *testing.F) {
	for _, body := range []string{whole, `{}`, `"\ud800"`, `"\u`, `"\`, ``, `[1,{"a":null}]`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var read order
		if err := decodeJSON(body, &read); err != nil && CodeOf(err) != "invalid" {
			t.Error(err)
		}
	})
}
