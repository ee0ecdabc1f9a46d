// Package strictjson reads JSON that an attacker may have written: one object, no member twice, no invalid UTF-8,
// nothing after it, no deep nesting, no number that few can hold (RFC 8725, section 2.6; RFC 8259, sections 4 and 6).
// encoding/json takes the last of two members, folds the case of their names and replaces invalid UTF-8, so two readers
// of one token could disagree.
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
	ErrTwice  = errors.New("a member that counts is there twice")
)

// Members calls each for every member of the one object that data holds, in order. The value is a part of data. A name
// that differs only in case from one of reserved is an error: a reader that folds case would take it for that one.
func Members(data []byte, reserved []string, each func(name string, value jsontext.Value) error) error {
	return MembersAt(data, reserved, func(name string, value jsontext.Value, _ int) error { return each(name, value) })
}

// MembersAt is Members, and says where in data the value begins.
func MembersAt(data []byte, reserved []string, each func(name string, value jsontext.Value, at int) error) error {
	r := open(data)
	defer r.close()
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
		if err := each(name, value, int(d.InputOffset())-len(value)); err != nil {
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

// reader is a decoder that is used again: its state is most of what reading a token would cost. From a bytes.Buffer it
// reads without a copy.
type reader struct {
	source bytes.Buffer
	d      jsontext.Decoder
}

var readers = sync.Pool{New: func() any {
	r := &reader{}
	r.d.Reset(&r.source)
	return r
}}

func open(data []byte) *reader {
	r, _ := readers.Get().(*reader)
	r.source = *bytes.NewBuffer(data)
	return r
}

// close makes the reader forget what was read.
func (r *reader) close() {
	r.source = bytes.Buffer{}
	r.d.Reset(&r.source)
	readers.Put(r)
}

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
	if v.Kind() == '"' {
		return true
	}
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
	if plain, ok := unescaped(v); ok {
		return string(plain), nil
	}
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return "", ErrType
	}
	return string(b), nil
}

// StringAt is String for a value that begins there in text: without escapes it is a part of text, not a copy.
func StringAt(text string, at int, v jsontext.Value) (string, error) {
	if plain, ok := unescaped(v); ok {
		return text[at+1 : at+1+len(plain)], nil
	}
	return String(v)
}

// unescaped returns what is between the quotes of a JSON string that is known to be well-formed.
func unescaped(v jsontext.Value) ([]byte, bool) {
	if v.Kind() != '"' || bytes.IndexByte(v, '\\') >= 0 {
		return nil, false
	}
	return v[1 : len(v)-1], true
}

// Strings returns the elements of an array that holds strings only.
func Strings(v jsontext.Value) ([]string, error) {
	return StringsAt(string(v), 0, v)
}

// StringsAt is to Strings what StringAt is to String.
func StringsAt(text string, at int, v jsontext.Value) ([]string, error) {
	list := make([]string, 0, min(1+bytes.Count(v, []byte(",")), 16)) // a comma may be inside a string
	err := elements(v, func(e jsontext.Value, offset int) error {
		s, err := StringAt(text, at+offset, e)
		list = append(list, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Elements returns copies of an array's elements.
func Elements(v jsontext.Value) ([]jsontext.Value, error) {
	var list []jsontext.Value
	err := elements(v, func(e jsontext.Value, _ int) error {
		list = append(list, e.Clone())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// elements calls each for every element of an array, and says where in it the element begins.
func elements(v jsontext.Value, each func(e jsontext.Value, at int) error) error {
	if v.Kind() != '[' {
		return ErrType
	}
	r := open(v)
	defer r.close()
	if _, err := r.d.ReadToken(); err != nil {
		return ErrSyntax
	}
	for r.d.PeekKind() != ']' {
		e, err := r.d.ReadValue()
		if err != nil {
			return ErrSyntax
		}
		if err := each(e, int(r.d.InputOffset())-len(e)); err != nil {
			return err
		}
	}
	return nil
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
