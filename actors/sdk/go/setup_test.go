package nanolattice

import (
	"testing"

	"nanolattice/msgpack"
)

// only makes this the whole actor, and forgets it after the test.
func only(t *testing.T, register func()) {
	t.Helper()
	keptRoutes, keptSubscriptions, keptTimers, keptHost := routes, subscriptions, timers, Host
	routes, subscriptions, timers = nil, nil, nil
	register()
	t.Cleanup(func() {
		routes, subscriptions, timers, Host = keptRoutes, keptSubscriptions, keptTimers, keptHost
	})
}

func says(reply []byte) func(string, string, string, []byte) ([]byte, error) {
	return func(string, string, string, []byte) ([]byte, error) { return reply, nil }
}

func message(subject, replyTo string) []byte {
	writer := msgpack.NewWriter().Map(3).Field("subject", subject).Field("replyTo", replyTo)
	return writer.Text("body").Bytes([]byte("x")).Done()
}
