package strictjson_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// What counts is read as strictly as ever, and the rest refuses nothing.
func TestAmong(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for _, tt := range []struct {
		name, in string
		want     []string
		err      error
	}{
		{name: "wanted", in: `{"iss":"x","other":1,"sub":2}`, want: []string{`iss="x"`, "sub=2"}},
		{name: "byte order mark", in: "\ufeff" + `{"iss":"x"}`, want: []string{`iss="x"`}},
		{name: "two byte order marks", in: "\ufeff\ufeff{}", err: strictjson.ErrSyntax},
		{name: "other twice", in: `{"o":1,"iss":"x","o":2}`, want: []string{`iss="x"`}},
		{name: "other in Latin-1", in: "{\"o\":\"caf\xe9\",\"iss\":\"x\"}", want: []string{`iss="x"`}},
		{name: "other's name in Latin-1", in: "{\"\xe9\":1,\"iss\":\"x\"}", want: []string{`iss="x"`}},
		{name: "other with a lone surrogate", in: `{"o":"\ud800","iss":"x"}`, want: []string{`iss="x"`}},
		{name: "other nested deeply", in: `{"o":` + deep + `,"iss":"x"}`, want: []string{`iss="x"`}},
		{name: "other a huge number", in: `{"o":1e999,"iss":"x"}`, want: []string{`iss="x"`}},
		{name: "wanted an array of anything", in: "{\"iss\":[\"\xe9\"]}", want: []string{"iss=[\"\xe9\"]"}},
		{name: "wanted twice", in: `{"iss":"x","iss":"x"}`, err: strictjson.ErrTwice},
		{name: "wanted twice by escape", in: `{"iss":"x","is\u0073":"x"}`, err: strictjson.ErrTwice},
		{name: "wanted in another case", in: `{"ISS":"x"}`, err: strictjson.ErrFolded},
		{name: "wanted in Latin-1", in: "{\"iss\":\"\xe9\"}", err: strictjson.ErrSyntax},
		{name: "wanted with a lone surrogate", in: `{"iss":"\ud800"}`, err: strictjson.ErrSyntax},
		{name: "wanted a huge number", in: `{"iss":1e999}`, err: strictjson.ErrSyntax},
		{name: "half", in: `{"iss":"x"`, err: strictjson.ErrSyntax},
		{name: "comma at the end", in: `{"iss":"x",}`, err: strictjson.ErrSyntax},
		{name: "second value", in: `{"iss":"x"}{}`, err: strictjson.ErrSyntax},
		{name: "array", in: `[]`, err: strictjson.ErrSyntax},
		{name: "nothing", in: ``, err: strictjson.ErrSyntax},
		{name: "HTML", in: `<html>`, err: strictjson.ErrSyntax},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			err := strictjson.Among([]byte(tt.in), []string{"iss", "sub"}, func(name string, v jsontext.Value) error {
				got = append(got, name+"="+string(v))
				return nil
			})
			if !errors.Is(err, tt.err) {
				t.Fatalf("error: got %v, want %v", err, tt.err)
			}
			if err == nil && !slices.Equal(got, tt.want) {
				t.Errorf("members: got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestItems(t *testing.T) {
	got, err := strictjson.Items(jsontext.Value("[{\"a\":1,\"a\":2},\"\xe9\",3]"), 2)
	if err != nil || len(got) != 2 || string(got[1]) != "\"\xe9\"" {
		t.Errorf("got %q, %v", got, err)
	}
	if strictjson.Strict(got[0]) == nil || strictjson.Strict(got[1]) == nil {
		t.Error("Strict accepts a member twice, or what is no UTF-8")
	}
	if _, err := strictjson.Items(jsontext.Value(`{}`), 2); !errors.Is(err, strictjson.ErrType) {
		t.Errorf("no array: got %v", err)
	}
	for _, in := range []string{`[1,`, `[1 2]`, `[tru]`} {
		if got, err := strictjson.Items(jsontext.Value(in), 2); !errors.Is(err, strictjson.ErrSyntax) || got != nil {
			t.Errorf("%s: got %q, %v, want %v", in, got, err, strictjson.ErrSyntax)
		}
	}
}
