// What every SDK can do, for tests/sdk/test_conformance.py. actors/sdk/README.md says what each route does.
package main

import (
	"slices"
	"time"

	lattice "nanolattice"
)

type object = map[string]any

// ok is the answer of most handlers: what came out of a call, under a name, unless it failed.
func ok(name string) func(value any, err error) (*lattice.Response, error) {
	return func(value any, err error) (*lattice.Response, error) {
		if err != nil {
			return nil, err
		}
		return lattice.JSON(200, object{name: value}), nil
	}
}

func done(err error) (*lattice.Response, error) { return lattice.JSON(200, object{}), err }

// ---- requests, records

func hello(request *lattice.Request) (*lattice.Response, error) {
	name := "world"
	if request.Query.Has("name") {
		name = request.Query.Get("name")
	}
	return lattice.JSON(200, object{"hello": name}), nil
}

func echo(request *lattice.Request) (*lattice.Response, error) {
	answer := lattice.Reply(202, "text/plain; charset=utf-8", request.Body)
	return answer.With("x-echo", request.Header("x-echo")), nil
}

type Person struct {
	Name string `json:"name"`
	Age  uint32 `json:"age"`
}

func addPerson(request *lattice.Request) (*lattice.Response, error) {
	person, err := lattice.ReadJSON[Person](request)
	if err != nil {
		return nil, err
	}
	return lattice.JSON(201, person), lattice.KeyValue.SetJSON("people:"+person.Name, person)
}

func getPerson(request *lattice.Request) (*lattice.Response, error) {
	var person Person
	found, err := lattice.KeyValue.GetJSON("people:"+request.Parameter("name"), &person)
	if err == nil && !found {
		err = lattice.NotFound("there is no such person")
	}
	return lattice.JSON(200, person), err
}

type Everything struct {
	Text   string   `json:"text"`
	Whole  int64    `json:"whole"`
	Number float64  `json:"number"`
	Truth  bool     `json:"truth"`
	List   []string `json:"list"`
	Maybe  *string  `json:"maybe,omitempty"`
	Any    any      `json:"any,omitempty"`
}

func everything(request *lattice.Request) (*lattice.Response, error) {
	all, err := lattice.ReadJSON[Everything](request)
	return lattice.JSON(200, all), err
}

func fail(request *lattice.Request) (*lattice.Response, error) {
	return nil, lattice.Fail(request.Query.Get("code"), "as you wish")
}

// ---- key-value

type KeyValue struct {
	Key   string  `json:"key"`
	Value *string `json:"value"`
	By    *int32  `json:"by"`
}

func keyValue(request *lattice.Request) (*lattice.Response, error) {
	asked, err := lattice.ReadJSON[KeyValue](request)
	if err != nil {
		return nil, err
	}
	store, key, value := lattice.KeyValue, asked.Key, ok("value")
	switch request.Parameter("op") {
	case "get":
		return get(store, key)
	case "delete":
		deleted, err := store.Delete(key)
		return value(deleted, err)
	case "contains":
		there, err := store.Contains(key)
		return value(there, err)
	case "increment":
		by := int32(1)
		if asked.By != nil {
			by = *asked.By
		}
		sum, err := store.Increment(key, by)
		return value(sum, err)
	case "list-range":
		list, err := store.ListRange(key, 0, -1)
		return value(list, err)
	case "set-members":
		members, err := store.SetMembers(key)
		return value(members, err)
	case "set", "list-add", "list-remove", "set-add", "set-remove":
		if asked.Value == nil {
			return nil, lattice.Invalid("value is missing")
		}
		return withValue(request.Parameter("op"), key, *asked.Value)
	}
	return nil, lattice.NotFound("there is no such operation")
}

func withValue(op, key, given string) (*lattice.Response, error) {
	store, value := lattice.KeyValue, ok("value")
	switch op {
	case "list-add":
		length, err := store.ListAdd(key, given)
		return value(length, err)
	case "list-remove":
		removed, err := store.ListRemove(key, given)
		return value(removed, err)
	case "set-add":
		added, err := store.SetAdd(key, given)
		return value(number(added), err)
	case "set-remove":
		removed, err := store.SetRemove(key, given)
		return value(number(removed), err)
	}
	return done(store.Set(key, given))
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func get(store lattice.Store, key string) (*lattice.Response, error) {
	value, found, err := store.Get(key)
	if !found {
		return ok("value")(nil, err)
	}
	return ok("value")(value, err)
}

func getVia(request *lattice.Request) (*lattice.Response, error) {
	return get(lattice.KeyValue.Open(request.Query.Get("link")), request.Query.Get("key"))
}

type Via struct {
	Link  string `json:"link"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

func setVia(request *lattice.Request) (*lattice.Response, error) {
	asked, err := lattice.ReadJSON[Via](request)
	if err != nil {
		return nil, err
	}
	return done(lattice.KeyValue.Open(asked.Link).Set(asked.Key, asked.Value))
}

// ---- messages, timers, actors

type Told struct {
	Subject string `json:"subject"`
	Body    string `json:"body"`
}

func publish(request *lattice.Request) (*lattice.Response, error) {
	told, err := lattice.ReadJSON[Told](request)
	if err != nil {
		return nil, err
	}
	return done(lattice.Messaging.Publish(told.Subject, []byte(told.Body)))
}

func ask(request *lattice.Request) (*lattice.Response, error) {
	told, err := lattice.ReadJSON[Told](request)
	if err != nil {
		return nil, err
	}
	reply, err := lattice.Messaging.Request(told.Subject, []byte(told.Body), 2000)
	if err != nil {
		return nil, err
	}
	return lattice.JSON(200, object{"body": string(reply.Body)}), nil
}

func reversed(bytes []byte) []byte {
	slices.Reverse(bytes)
	return bytes
}

func hear(message *lattice.Message) error {
	if message.ReplyTo != "" {
		return message.Reply(reversed(message.Body))
	}
	return lattice.KeyValue.Set("message:"+message.Subject, string(message.Body))
}

func tick(tick *lattice.Tick) error {
	_, err := lattice.KeyValue.Increment("tick:"+tick.Timer, 1)
	return err
}

type Call struct {
	Actor     string `json:"actor"`
	Operation string `json:"operation"`
	Body      string `json:"body"`
}

func call(request *lattice.Request) (*lattice.Response, error) {
	asked, err := lattice.ReadJSON[Call](request)
	if err != nil {
		return nil, err
	}
	reply, err := lattice.Call(asked.Actor, asked.Operation, []byte(asked.Body))
	return ok("body")(string(reply), err)
}

// ---- blobs, SQL, HTTP

type BlobAsked struct {
	Container string `json:"container"`
	Name      string `json:"name,omitempty"`
	Text      string `json:"text,omitempty"`
}

func blobs(request *lattice.Request) (*lattice.Response, error) {
	asked, err := lattice.ReadJSON[BlobAsked](request)
	if err != nil {
		return nil, err
	}
	container := lattice.Blobs.Container(asked.Container)
	switch request.Parameter("op") {
	case "put":
		if err := container.Create(); err != nil {
			return nil, err
		}
		return done(container.Put(asked.Name, "text/plain", []byte(asked.Text)))
	case "get":
		blob, err := container.Get(asked.Name)
		if err != nil {
			return nil, err
		}
		if blob == nil {
			return nil, lattice.NotFound("there is no such object")
		}
		return lattice.JSON(200, object{"text": string(blob.Bytes)}), nil
	case "delete":
		_, err := container.Delete(asked.Name)
		return done(err)
	case "list":
		found, err := container.List("")
		names := []string{}
		for _, blob := range found {
			names = append(names, blob.Name)
		}
		return ok("names")(names, err)
	}
	return nil, lattice.NotFound("there is no such operation")
}

type Statement struct {
	Statement string  `json:"statement"`
	Text      *string `json:"text"`
	Whole     int64   `json:"whole,omitempty"`
	Number    float64 `json:"number,omitempty"`
}

func (s Statement) parameters() []any {
	if s.Text == nil {
		return nil
	}
	return []any{*s.Text, s.Whole, s.Number}
}

func execute(request *lattice.Request) (*lattice.Response, error) {
	asked, err := lattice.ReadJSON[Statement](request)
	if err != nil {
		return nil, err
	}
	affected, err := lattice.SQL.Execute(asked.Statement, asked.parameters()...)
	return ok("affected")(affected, err)
}

func query(request *lattice.Request) (*lattice.Response, error) {
	asked, err := lattice.ReadJSON[Statement](request)
	if err != nil {
		return nil, err
	}
	found, err := lattice.SQL.Query(asked.Statement, asked.parameters()...)
	if err != nil {
		return nil, err
	}
	return lattice.JSON(200, object{"columns": found.Columns, "rows": found.Rows}), nil
}

type Page struct {
	URL string `json:"url"`
}

func fetch(request *lattice.Request) (*lattice.Response, error) {
	page, err := lattice.ReadJSON[Page](request)
	if err != nil {
		return nil, err
	}
	fetched, err := lattice.Fetch{URL: page.URL}.Send()
	if err != nil {
		return nil, err
	}
	return lattice.JSON(200, object{"status": fetched.Status, "body": string(fetched.Body)}), nil
}

// ---- time, random numbers, log

func now(*lattice.Request) (*lattice.Response, error) {
	return lattice.JSON(200, object{"now": time.Now().UnixMilli()}), nil
}

func random(*lattice.Request) (*lattice.Response, error) {
	number, err := lattice.Random()
	if err != nil {
		return nil, err
	}
	guid, err := lattice.GUID()
	return lattice.JSON(200, object{"random": number, "guid": guid}), err
}

type Line struct {
	Level   string `json:"level"`
	Message string `json:"message"`
}

func writeLog(request *lattice.Request) (*lattice.Response, error) {
	line, err := lattice.ReadJSON[Line](request)
	if err != nil {
		return nil, err
	}
	write := map[string]func(string){
		"debug": lattice.Log.Debug, "info": lattice.Log.Info, "warn": lattice.Log.Warn, "error": lattice.Log.Error,
	}[line.Level]
	if write == nil {
		return nil, lattice.Invalid("level is debug, info, warn or error")
	}
	write(line.Message)
	return done(nil)
}

func init() {
	lattice.Get("/hello", hello)
	lattice.Post("/echo", echo)
	lattice.Post("/people", addPerson)
	lattice.Get("/people/{name}", getPerson)
	lattice.Post("/everything", everything)
	lattice.Get("/fail", fail)
	lattice.Post("/kv/{op}", keyValue)
	lattice.Get("/via", getVia)
	lattice.Post("/via", setVia)
	lattice.Post("/publish", publish)
	lattice.Post("/request", ask)
	lattice.Post("/call", call)
	lattice.Post("/blobs/{op}", blobs)
	lattice.Post("/sql/execute", execute)
	lattice.Post("/sql/query", query)
	lattice.Post("/fetch", fetch)
	lattice.Get("/now", now)
	lattice.Get("/random", random)
	lattice.Post("/log", writeLog)
	lattice.OnMessage("in.>", hear)
	lattice.OnTick(tick)
	lattice.On("Conformance.Reverse", func(payload []byte) ([]byte, error) { return reversed(payload), nil })
}

func main() {}
