package memory

import (
	"errors"
	"strings"
)

// maxErrorText bounds the text of an error that outlives its request.
const maxErrorText = 1 << 10

// cutError is what is kept of an error whose text is longer: it may quote what a stranger has written, at any length.
type cutError struct {
	text  string
	cause error // what others look for in it; nil if nothing
}

func (e *cutError) Error() string { return e.text }
func (e *cutError) Unwrap() error { return e.cause }

// Cut returns an error that may be kept: the same if its text is short. One with a method Brief() error says what is to be
// found in it yet.
func Cut(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) <= maxErrorText {
		return err
	}
	e := &cutError{text: strings.ToValidUTF8(strings.Clone(text[:maxErrorText]), "") + "…"}
	if brief, ok := errors.AsType[interface {
		error
		Brief() error
	}](err); ok {
		e.cause = brief.Brief()
	}
	return e
}

// ErrorSize is about what an error needs, in bytes: each that wraps another has its text once more.
func ErrorSize(err error) int64 {
	const fixed, wrapped = 256, 4
	if err == nil {
		return 0
	}
	return fixed + wrapped*int64(len(err.Error()))
}
