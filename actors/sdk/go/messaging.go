package nanolattice

import (
	"strings"

	"nanolattice/msgpack"
)

const (
	messaging     = "wasmcloud:messaging"
	handleMessage = "MessageSubscriber.HandleMessage"
)

// Message is on a subject. ReplyTo is where a reply is awaited; "" when nobody waits.
type Message struct {
	Subject string
	ReplyTo string
	Body    []byte
}

// Reply publishes to whoever waits for a reply, over the link "default". It does nothing if nobody does.
func (m *Message) Reply(body []byte) error {
	if m.ReplyTo == "" {
		return nil
	}
	return Messaging.Publish(m.ReplyTo, body)
}

// Broker passes messages on.
type Broker struct{ link string }

// Messaging is the broker behind the link "default".
var Messaging = Broker{defaultLink}

// Open is the broker behind the link of this name.
func (Broker) Open(link string) Broker { return Broker{link} }

func (b Broker) Publish(subject string, body []byte) error {
	message := msgpack.NewWriter().Map(2).Field("subject", subject).Text("body").Bytes(body)
	_, err := Provider(b.link, messaging, "Messaging.Publish", message.Done())
	return err
}

// Request publishes and waits for the first reply.
func (b Broker) Request(subject string, body []byte, timeoutMs uint32) (*Message, error) {
	message := msgpack.NewWriter().Map(3).Field("subject", subject).Text("body").Bytes(body)
	reply, err := Provider(b.link, messaging, "Messaging.Request", message.Text("timeoutMs").Int(int64(timeoutMs)).Done())
	if err != nil {
		return nil, err
	}
	return decodeMessage(reply)
}

func decodeMessage(payload []byte) (*Message, error) {
	message := &Message{}
	reader := msgpack.NewReader(payload)
	reader.Fields(func(name string) bool {
		switch name {
		case "subject":
			message.Subject = reader.Text()
		case "replyTo":
			message.ReplyTo = reader.Text()
		case "body":
			message.Body = reader.Bytes()
		default:
			return false
		}
		return true
	})
	if reader.Failed() {
		return nil, malformed("the message")
	}
	return message, nil
}

type subscription struct {
	pattern string
	handler func(message *Message) error
}

var subscriptions []subscription

// OnMessage names the handler of messages on subjects that fit: "*" stands for one word, a final ">" for one or more.
// Which messages arrive at all is a matter of the link. Of several that fit, the first is used.
func OnMessage(subject string, handler func(message *Message) error) {
	subscriptions = append(subscriptions, subscription{subject, handler})
	operations[handleMessage] = serveMessage
}

func serveMessage(payload []byte) ([]byte, error) {
	message, err := decodeMessage(payload)
	if err != nil {
		return nil, err
	}
	for _, subscription := range subscriptions {
		if fits(subscription.pattern, message.Subject) {
			return nil, subscription.handler(message)
		}
	}
	return nil, Fail("operation_unknown", "no handler takes messages on "+message.Subject)
}

func fits(pattern, subject string) bool {
	pieces, words := strings.Split(pattern, "."), strings.Split(subject, ".")
	for at, piece := range pieces {
		switch {
		case at >= len(words):
			return false
		case piece == ">":
			return true
		case piece != "*" && piece != words[at]:
			return false
		}
	}
	return len(pieces) == len(words)
}
