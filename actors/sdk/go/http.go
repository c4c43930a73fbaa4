package nanolattice

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"nanolattice/msgpack"
)

const handleRequest = "HttpServer.HandleRequest"

// Request is an HTTP request. Names of headers are in lower case, each with its values in order.
type Request struct {
	Method  string
	Path    string
	Query   url.Values
	Headers map[string][]string
	Body    []byte

	parameters map[string]string
}

// Handler answers a request; without a response that is a 204. An error of the actor's own, such as NotFound, becomes the
// answer {"error": message} by its code; every other fails the call.
type Handler func(request *Request) (*Response, error)

// Header is the first value of a header, the name in lower case; "" without one.
func (r *Request) Header(name string) string {
	if values := r.Headers[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Parameter is what stands for {name} in the path, percent-decoded; "" when the route has no such name.
func (r *Request) Parameter(name string) string { return r.parameters[name] }

// ReadJSON is the body as a T. It fails with "invalid", and names the field that is missing or of another kind. Fields
// that may be missing are pointers, or have omitempty or omitzero in their tag.
func ReadJSON[T any](request *Request) (value T, err error) {
	err = decodeJSON(request.Body, &value)
	return value, err
}

// Response is an answer.
type Response struct {
	Status  int
	Headers map[string][]string
	Body    []byte
}

// Reply makes an answer; without a content type when that is "".
func Reply(status int, contentType string, body []byte) *Response {
	response := &Response{Status: status, Headers: map[string][]string{}, Body: body}
	if contentType != "" {
		response.Headers["content-type"] = []string{contentType}
	}
	return response
}

// Text answers with a text.
func Text(status int, body string) *Response {
	return Reply(status, "text/plain; charset=utf-8", []byte(body))
}

// HTML answers with a page.
func HTML(status int, body string) *Response {
	return Reply(status, "text/html; charset=utf-8", []byte(body))
}

// JSON answers with a value. It panics for one that has no JSON, such as a channel.
func JSON(status int, value any) *Response {
	body, err := encodeJSON(value)
	if err != nil {
		panic(err.Error())
	}
	return Reply(status, "application/json", body)
}

// Failure answers {"error": why}.
func Failure(status int, why string) *Response { return JSON(status, map[string]string{"error": why}) }

// With adds a header.
func (r *Response) With(name, value string) *Response {
	r.Headers[name] = append(r.Headers[name], value)
	return r
}

type route struct {
	method, pattern string
	handler         Handler
}

var routes []route

// Route names the handler of requests with this method whose path fits: "/people/{name}", and "/files/{path...}" for
// all that is below. Of several that fit, the first is used.
func Route(method, pattern string, handler Handler) {
	routes = append(routes, route{method, pattern, handler})
	operations[handleRequest] = serveHTTP
}

func Get(pattern string, handler Handler)    { Route("GET", pattern, handler) }
func Post(pattern string, handler Handler)   { Route("POST", pattern, handler) }
func Put(pattern string, handler Handler)    { Route("PUT", pattern, handler) }
func Delete(pattern string, handler Handler) { Route("DELETE", pattern, handler) }

func serveHTTP(payload []byte) ([]byte, error) {
	request, err := decodeRequest(payload)
	if err != nil {
		return nil, err
	}
	response, err := AnswerHTTP(request)
	if err != nil {
		return nil, err
	}
	return response.encode(), nil
}

// AnswerHTTP answers a request that is not on its way as bytes. For tests.
func AnswerHTTP(request *Request) (*Response, error) {
	wanted, allowed := request.Method, []string{}
	if wanted == "HEAD" {
		wanted = "GET" // whose body the server leaves out
	}
	for _, route := range routes {
		parameters, fits := match(route.pattern, request.Path)
		if fits && route.method == wanted {
			request.parameters = parameters
			return handle(route.handler, request)
		}
		if fits {
			allowed = append(allowed, route.method)
		}
	}
	if len(allowed) == 0 {
		return Failure(404, "nothing is served at "+request.Path), nil
	}
	takes := strings.Join(allowed, ", ")
	return Failure(405, "this path takes "+takes).With("allow", takes), nil
}

func handle(handler Handler, request *Request) (*Response, error) {
	response, err := handler(request)
	if status := statuses[CodeOf(err)]; err != nil && status != 0 {
		return Failure(status, messageOf(err)), nil
	}
	if err == nil && response == nil {
		return Reply(204, "", nil), nil
	}
	return response, err
}

// match gives what stands for the names of a pattern.
func match(pattern, path string) (map[string]string, bool) {
	parameters := map[string]string{}
	pieces := strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for at, piece := range pieces {
		name, isName := strings.CutPrefix(piece, "{")
		name = strings.TrimSuffix(name, "}")
		if rest, isRest := strings.CutSuffix(name, "..."); isName && isRest && at < len(segments) {
			parameters[rest] = unescaped(strings.Join(segments[at:], "/"))
			return parameters, true
		}
		if at >= len(segments) {
			return nil, false
		}
		switch segment := segments[at]; {
		case isName && segment != "":
			parameters[name] = unescaped(segment)
		case isName || segment != piece:
			return nil, false
		}
	}
	return parameters, len(segments) == len(pieces)
}

// unescaped is percent-decoded; what is then not UTF-8 becomes U+FFFD, and what is not an escape stays.
func unescaped(text string) string {
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	if !utf8.ValidString(decoded) {
		return strings.ToValidUTF8(decoded, "\uFFFD")
	}
	return decoded
}

func decodeRequest(payload []byte) (*Request, error) {
	request := &Request{Headers: map[string][]string{}}
	query := ""
	reader := msgpack.NewReader(payload)
	reader.Fields(func(name string) bool {
		switch name {
		case "method":
			request.Method = reader.Text()
		case "path":
			request.Path = reader.Text()
		case "queryString":
			query = reader.Text()
		case "header":
			request.Headers = reader.Headers()
		case "body":
			request.Body = reader.Bytes()
		default:
			return false
		}
		return true
	})
	if reader.Failed() {
		return nil, malformed("the HTTP request")
	}
	request.Query, _ = url.ParseQuery(query) // what of it can be read is there
	return request, nil
}

func (r *Response) encode() []byte {
	writer := msgpack.NewWriter().Map(3).Text("statusCode").Int(int64(r.Status)).Text("header").Map(len(r.Headers))
	for name, values := range r.Headers {
		writer.Text(name).Texts(values)
	}
	return writer.Text("body").Bytes(r.Body).Done()
}

// Fetched is what came back of a request of this actor. A status such as 404 or 500 is an answer and no error.
type Fetched struct {
	Status  int
	Headers map[string][]string
	Body    []byte
}

// Fetch is a request that this actor makes. Where it may go is a matter of the link.
type Fetch struct {
	Method  string
	URL     string
	Headers map[string][]string
	Body    []byte
	// Link is the name of the link; "default" when empty.
	Link string
}

// Send makes the request. Without a method it is a GET.
func (f Fetch) Send() (*Fetched, error) {
	method, link := f.Method, f.Link
	if method == "" {
		method = "GET"
	}
	if link == "" {
		link = defaultLink
	}
	writer := msgpack.NewWriter().Map(4).Field("method", method).Field("url", f.URL).Text("headers").Map(len(f.Headers))
	for name, values := range f.Headers {
		writer.Text(name).Texts(values)
	}
	reply, err := Provider(link, "wasmcloud:httpclient", "HttpClient.Request", writer.Text("body").Bytes(f.Body).Done())
	if err != nil {
		return nil, err
	}
	fetched := &Fetched{}
	reader := msgpack.NewReader(reply)
	reader.Fields(func(name string) bool {
		switch name {
		case "statusCode":
			fetched.Status = int(reader.Int())
		case "header":
			fetched.Headers = reader.Headers()
		case "body":
			fetched.Body = reader.Bytes()
		default:
			return false
		}
		return true
	})
	if reader.Failed() {
		return nil, malformed("the answer of " + f.URL)
	}
	return fetched, nil
}

// JSON is the body as what into points to.
func (f *Fetched) JSON(into any) error {
	return fromElsewhere(fmt.Sprintf("the answer with status %d", f.Status), f.Body, into)
}
