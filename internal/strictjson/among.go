package strictjson

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// byteOrderMark is what some servers write before a document, which RFC 8259, section 8.1, lets a reader ignore.
const byteOrderMark = "\xef\xbb\xbf"

// TrimMark returns data without a byte order mark before it.
func TrimMark(data []byte) []byte { return bytes.TrimPrefix(data, []byte(byteOrderMark)) }

// Among is Members for a document of a server's own, of which a few members count: it is as strict as Members about
// wanted, and deaf to the rest, which may be there twice, be no UTF-8, or be nested deeply. A value that is an array or an
// object is passed on as it is: read that by Among, Items or Strict. A byte order mark is ignored.
func Among(data []byte, wanted []string, each func(name string, value jsontext.Value) error) error {
	d := loose(TrimMark(data))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return ErrSyntax
	}
	seen := make([]bool, len(wanted))
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return ErrSyntax
		}
		i, err := wantedName(name, wanted)
		if err != nil {
			return err
		}
		value, err := d.ReadValue()
		switch {
		case err != nil:
			return ErrSyntax
		case i < 0:
			continue
		case seen[i]:
			return ErrTwice
		case value.Kind() != '[' && value.Kind() != '{' && Strict(value) != nil:
			return ErrSyntax
		}
		seen[i] = true
		if err := each(wanted[i], value); err != nil {
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

// loose reads what is JSON by RFC 8259, whatever its names and characters are.
func loose(data []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// wantedName returns which of wanted a member's name is; -1 if it is none, as what is no UTF-8 never is.
func wantedName(quoted jsontext.Value, wanted []string) (int, error) {
	plain, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return -1, nil //nolint:nilerr // a name that nobody asks for
	}
	name := string(plain)
	if i := slices.Index(wanted, name); i >= 0 {
		return i, nil
	}
	if folded(name, wanted) {
		return -1, ErrFolded
	}
	return -1, nil
}

// Strict returns ErrSyntax for a value that Members would refuse.
func Strict(v jsontext.Value) error {
	if !v.IsValid() || !sane(v) {
		return ErrSyntax
	}
	return nil
}

// Items returns copies of the first elements of an array that may hold anything, most at the most.
func Items(v jsontext.Value, most int) ([]jsontext.Value, error) {
	if v.Kind() != '[' {
		return nil, ErrType
	}
	d := loose(v)
	if _, err := d.ReadToken(); err != nil {
		return nil, ErrSyntax
	}
	var list []jsontext.Value
	for d.PeekKind() != ']' && len(list) < most {
		e, err := d.ReadValue()
		if err != nil {
			return nil, ErrSyntax
		}
		list = append(list, e.Clone())
	}
	return list, nil
}
