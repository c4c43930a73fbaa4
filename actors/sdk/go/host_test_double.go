//go:build !wasip1

package nanolattice

// Host answers what an actor asks, in tests that run natively: go test. Without one every call fails with not_linked.
var Host func(link, target, operation string, payload []byte) ([]byte, error)

func askHost(link, target, operation string, payload []byte) ([]byte, error) {
	if Host == nil {
		return nil, Fail("not_linked", target+" was asked for "+operation+", and the test has no Host")
	}
	return Host(link, target, operation, payload)
}

// Answer serves one call as the host makes it, in tests that run natively.
func Answer(operation string, payload []byte) ([]byte, error) { return answer(operation, payload) }
