package nanolattice

import (
	"errors"
	"strings"
)

// Error is one failure: a code that others act upon, and a message for people. Its text is "code: message", as the host
// writes its own.
type Error struct {
	// Code is short and stable: "not_found", "invalid", or one of the host's such as "not_linked".
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Fail makes an error with a code of any kind.
func Fail(code, message string) *Error { return &Error{code, message} }

// Invalid says that what was asked for is not right: 400.
func Invalid(message string) *Error { return &Error{"invalid", message} }

// NotFound says that there is no such thing: 404.
func NotFound(message string) *Error { return &Error{"not_found", message} }

// Conflict says that somebody else was first: 409.
func Conflict(message string) *Error { return &Error{"conflict", message} }

func malformed(what string) *Error { return &Error{"malformed_message", what + " cannot be read"} }

// CodeOf is the code of an error, also of a wrapped one; "internal" for those that have none.
func CodeOf(err error) string {
	var known *Error
	if errors.As(err, &known) {
		return known.Code
	}
	return "internal"
}

// errorFromHost takes "code: message" apart. A text without a code is a provider_error.
func errorFromHost(text string) *Error {
	code, message, found := strings.Cut(text, ": ")
	if !found || code == "" || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return &Error{"provider_error", text}
	}
	return &Error{code, message}
}

// textOf is what the host is told. A wrapped error keeps the code in front, and what it was wrapped in behind it.
func textOf(err error) string {
	var known *Error
	switch {
	case !errors.As(err, &known):
		return "internal: " + err.Error()
	case error(known) == err:
		return err.Error()
	default:
		return known.Code + ": " + messageOf(err)
	}
}

// messageOf is the text for people, without the code.
func messageOf(err error) string {
	var known *Error
	if !errors.As(err, &known) {
		return err.Error()
	}
	return strings.Replace(err.Error(), known.Error(), known.Message, 1)
}

// statuses are those of the HTTP answers that an actor's own errors become. Others, the host's among them, fail the call:
// the host knows whether to try again, and what a visitor may read.
var statuses = map[string]int{
	"invalid":      400,
	"unauthorized": 401,
	"forbidden":    403,
	"not_found":    404,
	"conflict":     409,
	"too_large":    413,
	"unavailable":  503,
	"timeout":      504,
}
