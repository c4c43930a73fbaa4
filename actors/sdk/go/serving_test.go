package nanolattice

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"nanolattice/msgpack"
)

func say(text string) Handler {
	return func(request *Request) (*Response, error) {
		return Text(200, text+":"+request.Parameter("name")+request.Parameter("rest")), nil
	}
}

func ask(t *testing.T, method, path string) (int, string) {
	t.Helper()
	response, err := AnswerHTTP(&Request{Method: method, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return response.Status, string(response.Body)
}

func TestRequestsGoByMethodAndPath(t *testing.T) {
	only(t, func() {
		Get("/", say("root"))
		Get("/people/me", say("me"))
		Get("/people/{name}", say("person"))
		Delete("/people/{name}", say("gone"))
		Put("/files/{rest...}", say("file"))
	})
	for _, c := range []struct{ method, path, text string }{
		{"GET", "/", "root:"},
		{"HEAD", "/", "root:"},
		{"GET", "/people/me", "me:"},
		{"GET", "/people/Ada%2F%C3%A9", "person:Ada/é"},
		{"GET", "/people/a+b", "person:a+b"},
		{"DELETE", "/people/x", "gone:x"},
		{"PUT", "/files/a/b", "file:a/b"},
		{"PUT", "/files/", "file:"},
		{"GET", "/people/%ff", "person:\uFFFD"},
		{"GET", "/people/%", "person:%"},
	} {
		if status, text := ask(t, c.method, c.path); status != 200 || text != c.text {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, text)
		}
	}
	for _, path := range []string{"/people", "/people/", "/people/a/", "/people/a/b", "//", "/files"} {
		if status, _ := ask(t, "GET", path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	refused, _ := AnswerHTTP(&Request{Method: "PATCH", Path: "/people/x"})
	if refused.Status != 405 || refused.Headers["allow"][0] != "GET, DELETE" {
		t.Errorf("%+v", refused)
	}
}

func TestOwnErrorsAreAnswersAndOthersFailTheCall(t *testing.T) {
	only(t, func() {
		Get("/{name}", func(request *Request) (*Response, error) {
			return nil, fmt.Errorf("while asked: %w", Fail(request.Parameter("name"), "why"))
		})
		Get("/plain/error", func(*Request) (*Response, error) { return nil, errors.New("plain") })
		Get("/no/answer", func(*Request) (*Response, error) { return nil, nil })
	})
	for code, status := range map[string]int{"invalid": 400, "not_found": 404, "conflict": 409, "timeout": 504} {
		if found, text := ask(t, "GET", "/"+code); found != status || text != `{"error":"while asked: why"}` {
			t.Errorf("%s: %d %s", code, found, text)
		}
	}
	for path, text := range map[string]string{"/not_linked": "not_linked: while asked: why", "/plain/error": "internal: plain"} {
		if _, err := AnswerHTTP(&Request{Method: "GET", Path: path}); err == nil || textOf(err) != text {
			t.Errorf("%s: %v", path, err)
		}
	}
	if status, _ := ask(t, "GET", "/no/answer"); status != 204 {
		t.Error(status)
	}
}

func TestMessagesAndTicksGoToTheFirstThatFits(t *testing.T) {
	took := func(name string) func(*Message) error { return func(*Message) error { return Fail("took", name) } }
	only(t, func() {
		OnMessage("a.b", took("exact"))
		OnMessage("a.*", took("star"))
		OnMessage("c.>", took("rest"))
		OnTimer("one", func(*Tick) error { return Fail("took", "one") })
		OnTick(func(tick *Tick) error { return Fail("took", tick.Timer) })
	})
	for subject, name := range map[string]string{"a.b": "exact", "a.c": "star", "c.d.e": "rest"} {
		if _, err := Answer(handleMessage, message(subject, "")); err == nil || messageOf(err) != name {
			t.Errorf("%s: %v", subject, err)
		}
	}
	for _, subject := range []string{"a", "a.b.c", "c", "d"} {
		if _, err := Answer(handleMessage, message(subject, "")); CodeOf(err) != "operation_unknown" {
			t.Errorf("%s: %v", subject, err)
		}
	}
	for _, timer := range []string{"one", "two"} {
		if _, err := Answer(handleTick, msgpack.NewWriter().Map(1).Field("timer", timer).Done()); messageOf(err) != timer {
			t.Errorf("%s: %v", timer, err)
		}
	}
}

func TestOperationsHealthAndPanics(t *testing.T) {
	On("Test.Panic", func([]byte) ([]byte, error) { panic("oh") })
	t.Cleanup(func() { delete(operations, "Test.Panic") })
	if reply, err := Answer("Actor.HealthRequest", nil); err != nil || string(reply) != "\x81\xa7healthy\xc3" {
		t.Error(reply, err)
	}
	if _, err := Answer("No.Such", nil); CodeOf(err) != "operation_unknown" || !strings.Contains(err.Error(), "No.Such") {
		t.Error(err)
	}
	if _, err := Answer("Test.Panic", nil); err == nil || textOf(err) != "internal: panic: oh" {
		t.Error(err)
	}
	if _, err := KeyValue.Delete("k"); err == nil || !strings.Contains(err.Error(), "no Host") {
		t.Error(err)
	}
}

func FuzzBrokenMessagesAreErrors(f *testing.F) {
	request := msgpack.NewWriter().Map(5).Field("method", "GET").Field("path", "/a").Field("queryString", "b=c")
	request.Text("header").Map(1).Text("accept").Texts([]string{"x", "y"}).Text("more").Array(1).Nil()
	for _, sample := range [][]byte{request.Done(), message("a.b", "c"), []byte("\x81\xa5timer\xc4\x01x"), nil, {0xdf, 255, 255, 255, 255}} {
		f.Add(sample)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		only(t, func() {
			Get("/{rest...}", say("any"))
			OnMessage(">", func(message *Message) error { return message.Reply(message.Body) })
			OnTick(func(*Tick) error { return nil })
		})
		Host = says(nil)
		for _, operation := range []string{handleRequest, handleMessage, handleTick} {
			if _, err := Answer(operation, payload); CodeOf(err) == "internal" && err != nil {
				t.Error(operation, err)
			}
		}
		Host = says(payload)
		_, _, _ = KeyValue.Get("k")
		_, _ = KeyValue.ListRange("l", 0, -1)
		_, _ = KeyValue.Increment("k", 1)
		_, _ = SQL.Query("select")
		_, _ = SQL.Execute("delete")
		_, _ = Blobs.Container("c").Info("o")
		_, _ = readRows(payload)
	})
}
