package strictjson

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// PeekString returns the string of the first member of that name of the object that data begins with, perhaps as a part of
// data; nil if there is none. It is for what has no signature yet that anybody has verified: whoever wrote it pays for
// no more than a look at each byte. Whether data is one strict object, and has the member once, is for Members to say
// before anything of it counts.
func PeekString(data []byte, name string) ([]byte, error) {
	s := scanner{data, 0}
	if s.next() != '{' {
		return nil, ErrSyntax
	}
	for s.at++; s.next() != '}'; {
		quoted := s.quoted()
		if quoted == nil || s.next() != ':' {
			return nil, ErrSyntax
		}
		s.at++
		if !isName(quoted, name) {
			if !s.skip() {
				return nil, ErrSyntax
			}
		} else if s.next() != '"' {
			return nil, ErrType
		} else if value := s.quoted(); value != nil {
			return plain(value)
		} else {
			return nil, ErrSyntax
		}
		switch s.next() {
		case ',':
			s.at++
		case '}':
		default:
			return nil, ErrSyntax
		}
	}
	return nil, nil
}

// Values is no less than the number of values in data beside the first, those in strings that only look like some among
// them.
func Values(data []byte) int {
	return bytes.Count(data, []byte(",")) + bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{"))
}

func isName(quoted jsontext.Value, name string) bool {
	own, err := plain(quoted)
	return err == nil && string(own) == name
}

func plain(quoted jsontext.Value) ([]byte, error) {
	if own, ok := unescaped(quoted); ok {
		return own, nil
	}
	own, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return nil, ErrSyntax
	}
	return own, nil
}

// scanner goes through JSON without a look at whether it is.
type scanner struct {
	data []byte
	at   int
}

// next returns the next byte that is no white space; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.data); s.at++ {
		if c := s.data[s.at]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

// quoted returns the string that begins here, and goes behind it; nil if there is none.
func (s *scanner) quoted() jsontext.Value {
	begin := s.at
	if s.next() != '"' || s.at != begin {
		return nil
	}
	for i := begin + 1; i < len(s.data); i++ {
		switch s.data[i] {
		case '\\':
			i++
		case '"':
			s.at = i + 1
			return s.data[begin:s.at]
		}
	}
	return nil
}

// skip goes behind a value, and returns false if there is none.
func (s *scanner) skip() bool {
	depth := 0
	for {
		switch c := s.next(); {
		case c == 0:
			return false
		case c == '"':
			if s.quoted() == nil {
				return false
			}
		case c == '{' || c == '[':
			depth++
			s.at++
		case c == '}' || c == ']':
			if depth--; depth < 0 {
				return false
			}
			s.at++
		case depth > 0:
			s.at++
			continue
		case c == ',' || c == ':':
			return false
		default: // a number, or a word
			for s.at < len(s.data) && bytes.IndexByte([]byte(",}] \t\n\r"), s.data[s.at]) < 0 {
				s.at++
			}
		}
		if depth == 0 {
			return true
		}
	}
}
