package nanolattice

import (
	"fmt"
	"os"
	"runtime/debug"
)

const defaultLink = "default"

// Provider asks a provider, over a link of that name. The payload and the reply are messages of the contract, as
// MessagePack: see the package nanolattice/msgpack.
func Provider(link, contract, operation string, payload []byte) ([]byte, error) {
	return askHost(link, contract, operation, payload)
}

// Call asks another actor, by key or alias. It takes and gives what it likes.
func Call(actor, operation string, payload []byte) ([]byte, error) {
	return askHost("", actor, operation, payload)
}

// CallJSON asks another actor with JSON both ways.
func CallJSON[A any](actor, operation string, question any) (answer A, err error) {
	payload, err := encodeJSON(question)
	if err != nil {
		return answer, err
	}
	reply, err := Call(actor, operation, payload)
	if err != nil {
		return answer, err
	}
	err = fromElsewhere("the answer of "+actor, reply, &answer)
	return answer, err
}

// operations are what this actor answers. Those of the contracts are put there with their first handler, so that code
// for what an actor does not take is left out of its module.
var operations = map[string]func(payload []byte) ([]byte, error){
	"Actor.HealthRequest": func([]byte) ([]byte, error) {
		return []byte("\x81\xa7healthy\xc3"), nil // {"healthy": true}: it could answer
	},
}

// On names the handler of calls by other actors, under an operation of the actor's own.
func On(operation string, handler func(payload []byte) ([]byte, error)) {
	operations[operation] = handler
}

// answer serves one call. A panic is an error, and where it was goes to the actor's log.
func answer(operation string, payload []byte) (reply []byte, err error) {
	defer func() {
		if why := recover(); why != nil {
			reply, err = nil, panicked(why)
		}
	}()
	handler := operations[operation]
	if handler == nil {
		return nil, Fail("operation_unknown", "this actor has no operation "+operation)
	}
	return handler(payload)
}

func panicked(why any) *Error {
	fmt.Fprintf(os.Stderr, "panic: %v\n%s", why, debug.Stack())
	return Fail("internal", fmt.Sprintf("panic: %v", why))
}
