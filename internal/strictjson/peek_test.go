package strictjson_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

func TestPeekString(t *testing.T) {
	for _, tt := range []struct {
		name, data, want string
		err              error
	}{
		{name: "first", data: `{"iss":"a","x":1}`, want: "a"},
		{name: "last", data: `{"x":{"iss":"b","y":["}",{"iss":"c"}]},"n":-1.5e3,"t":true,"iss":"a"}`, want: "a"},
		{name: "white space", data: " {\n\"x\" : [ ] ,\t\"iss\" : \"a\" } ", want: "a"},
		{name: "escaped", data: `{"x\"iss":"b","\u0069ss":"\u0061"}`, want: "a"},
		{name: "of two the first", data: `{"iss":"a","iss":"b"}`, want: "a"},
		{name: "none", data: `{"x":"iss"}`},
		{name: "empty", data: `{}`},
		{name: "another case", data: `{"ISS":"a"}`},
		{name: "no string", data: `{"iss":["a"]}`, err: strictjson.ErrType},
		{name: "null", data: `{"iss":null}`, err: strictjson.ErrType},
		{name: "no object", data: `["iss","a"]`, err: strictjson.ErrSyntax},
		{name: "an array with a member", data: `["iss":"a"}`, err: strictjson.ErrSyntax},
		{name: "nothing", data: ``, err: strictjson.ErrSyntax},
		{name: "no end", data: `{"x":1`, err: strictjson.ErrSyntax},
		{name: "no end of a string", data: `{"x":"\"`, err: strictjson.ErrSyntax},
		{name: "no end of the string", data: `{"iss":"a\"`, err: strictjson.ErrSyntax},
		{name: "no end of an array", data: `{"x":[{}`, err: strictjson.ErrSyntax},
		{name: "no value", data: `{"x":,"iss":"a"}`, err: strictjson.ErrSyntax},
		{name: "no value at the end", data: `{"x":}`, err: strictjson.ErrSyntax},
		{name: "no colon", data: `{"x" "iss":"a"}`, err: strictjson.ErrSyntax},
		{name: "no comma", data: `{"x":"y" "iss":"a"}`, err: strictjson.ErrSyntax},
		{name: "no name", data: `{x:1,"iss":"a"}`, err: strictjson.ErrSyntax},
		{name: "nothing before a colon", data: `{:1,"iss":"a"}`, err: strictjson.ErrSyntax},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := strictjson.PeekString([]byte(tt.data), "iss")
			if string(got) != tt.want || err != tt.err { //nolint:errorlint // itself
				t.Errorf("got %q, %v, want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestNumberOfValues(t *testing.T) {
	if got := strictjson.Values([]byte(`{"a":[1,2],"b":"x,y"}`)); got != 5 {
		t.Errorf("got %d, want 5", got)
	}
}

// What is strict says the same either way: a member is never another one to who has only looked.
func FuzzPeekString(f *testing.F) {
	for _, s := range []string{`{"iss":"a"}`, `{"x":{"iss":"b"},"\u0069ss":"a"}`, `{"x":[[]],"iss":""}`, `{"iss":1}`,
		`{"a":"\\","iss":"x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want string
		err := strictjson.Members(data, nil, func(name string, v jsontext.Value) (err error) {
			if name == "iss" {
				want, err = strictjson.String(v)
			}
			return err
		})
		got, peeked := strictjson.PeekString(data, "iss")
		if err == nil && (peeked != nil || string(got) != want) {
			t.Errorf("got %q, %v, want %q", got, peeked, want)
		}
	})
}
