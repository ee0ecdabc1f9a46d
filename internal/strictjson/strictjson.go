// Package strictjson reads JSON that an attacker may have written: one object, no member twice, no invalid UTF-8,
// nothing after it, no deep nesting, no number that few can hold (RFC 8725, section 2.4; RFC 8259, sections 4 and 6).
// encoding/json takes the last of two members, folds the case of their names and replaces what is not UTF-8, so that
// two readers of one token can disagree.
package strictjson

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep arrays and objects may be nested inside a member's value.
const MaxDepth = 32

// Errors of this package never quote what was read: the text may end in a log.
var (
	ErrSyntax = errors.New("not one strict JSON object")
	ErrFolded = errors.New("a member's name differs from a registered one in case only")
	ErrType   = errors.New("a member has the wrong JSON type")
	ErrRange  = errors.New("a date is out of range")
)

// Members calls each for every member of the one object that data holds, in order. The value is valid until each
// returns. A name that differs only in case from one of reserved is an error: a reader that folds case would take
// it for that one.
func Members(data []byte, reserved []string, each func(name string, value jsontext.Value) error) error {
	r, _ := readers.Get().(*reader)
	defer readers.Put(r)
	r.source.Reset(data)
	r.d.Reset(&r.source)
	defer r.source.Reset(nil) // what was read is not kept
	d := &r.d
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return ErrSyntax
	}
	for d.PeekKind() != '}' {
		quoted, err := d.ReadValue()
		if err != nil {
			return ErrSyntax
		}
		name, err := memberName(quoted, reserved)
		if err != nil {
			return err
		}
		value, err := d.ReadValue()
		if err != nil || !sane(value) {
			return ErrSyntax
		}
		if err := each(name, value); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return ErrSyntax
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return ErrSyntax
	}
	return nil
}

// reader is a decoder that is used again: its buffers are most of what reading a token would cost.
type reader struct {
	source bytes.Reader
	d      jsontext.Decoder
}

var readers = sync.Pool{New: func() any { return &reader{} }}

// memberName allocates nothing for the names that are asked for.
func memberName(quoted jsontext.Value, reserved []string) (string, error) {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') >= 0 {
		unquoted, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			return "", ErrSyntax
		}
		plain = unquoted
	}
	for _, r := range reserved {
		if string(plain) == r {
			return r, nil
		}
	}
	name := string(plain)
	if folded(name, reserved) {
		return "", ErrFolded
	}
	return name, nil
}

func folded(name string, reserved []string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
}

// sane holds a value that is known to be well-formed to MaxDepth, and its numbers to what fits a float64 (RFC 8259,
// section 6): beyond that one reader fails and another finds infinity.
func sane(v jsontext.Value) bool {
	depth, quoted := 0, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		case c == '-' || '0' <= c && c <= '9':
			end := i
			for end < len(v) && strings.IndexByte("+-.eE0123456789", v[end]) >= 0 {
				end++
			}
			if _, err := strconv.ParseFloat(string(v[i:end]), 64); err != nil {
				return false
			}
			i = end - 1
		}
	}
	return true
}

// String returns the value of a JSON string; anything else, null too, is ErrType.
func String(v jsontext.Value) (string, error) {
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return "", ErrType
	}
	return string(b), nil
}

// Strings returns the elements of an array that holds strings only.
func Strings(v jsontext.Value) ([]string, error) {
	values, err := Elements(v)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(values))
	for i, e := range values {
		if list[i], err = String(e); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Elements returns copies of an array's elements.
func Elements(v jsontext.Value) ([]jsontext.Value, error) {
	if v.Kind() != '[' {
		return nil, ErrType
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(v))
	if _, err := d.ReadToken(); err != nil {
		return nil, ErrSyntax
	}
	var list []jsontext.Value
	for d.PeekKind() != ']' {
		e, err := d.ReadValue()
		if err != nil {
			return nil, ErrSyntax
		}
		list = append(list, e.Clone())
	}
	return list, nil
}

// lastSecond is the end of the year 9999, the last that RFC 3339 and time.Time's formats can write.
const lastSecond = 253402300799

// Seconds returns a NumericDate (RFC 7519, section 2) in whole seconds, fractions cut off. A value that is no
// number is ErrType; one before 1970 or after 9999 is ErrRange, so that no arithmetic on it can overflow.
func Seconds(v jsontext.Value) (int64, error) {
	if v.Kind() != '0' {
		return 0, ErrType
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > lastSecond {
		return 0, ErrRange
	}
	return int64(f), nil
}
