package strictjson_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

func TestMembers(t *testing.T) {
	reserved := []string{"iss", "sub", "k"}
	for _, tt := range []struct {
		name, in string
		want     []string
		err      error
	}{
		{"empty", `{}`, nil, nil},
		{"two", ` {"a":1, "b" : [2] } `, []string{"a=1", "b=[2]"}, nil},
		{"escaped name", `{"\u0069ss":"x"}`, []string{`iss="x"`}, nil},
		{"reserved itself", `{"iss":"x"}`, []string{`iss="x"`}, nil},
		{"upper case", `{"ISS":"x"}`, nil, strictjson.ErrFolded},
		{"long s", "{\"i\u017fs\":\"x\"}", nil, strictjson.ErrFolded},
		{"kelvin", "{\"\u212a\":\"x\"}", nil, strictjson.ErrFolded},
		{"duplicate", `{"a":1,"a":1}`, nil, strictjson.ErrSyntax},
		{"duplicate by escape", `{"a":1,"\u0061":1}`, nil, strictjson.ErrSyntax},
		{"duplicate inside", `{"a":{"b":1,"b":2}}`, nil, strictjson.ErrSyntax},
		{"trailing comma", `{"a":1,}`, nil, strictjson.ErrSyntax},
		{"second value", `{"a":1}{}`, nil, strictjson.ErrSyntax},
		{"trailing garbage", `{"a":1}x`, nil, strictjson.ErrSyntax},
		{"unclosed", `{"a":1`, nil, strictjson.ErrSyntax},
		{"no value", `{"a":}`, nil, strictjson.ErrSyntax},
		{"name only", `{"a"}`, nil, strictjson.ErrSyntax},
		{"name no string", `{1:1}`, nil, strictjson.ErrSyntax},
		{"null", `null`, nil, strictjson.ErrSyntax},
		{"array", `[]`, nil, strictjson.ErrSyntax},
		{"nothing", ``, nil, strictjson.ErrSyntax},
		{"byte order mark", "\ufeff{}", nil, strictjson.ErrSyntax},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", nil, strictjson.ErrSyntax},
		{"lone surrogate", `{"a":"\ud800"}`, nil, strictjson.ErrSyntax},
		{"control character", "{\"a\":\"\n\"}", nil, strictjson.ErrSyntax},
		{"as deep as allowed", `{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
			[]string{"a=" + strings.Repeat("[", 32) + strings.Repeat("]", 32)}, nil},
		{"too deep", `{"a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`, nil, strictjson.ErrSyntax},
		{"deep, but not too", `{"a":[` + strings.Repeat("[[]],", 40) + `[]]}`, []string{"a=[" + strings.Repeat("[[]],", 40) + "[]]"}, nil},
		{"largest numbers", `{"a":[1e308,-1.7976931348623157e308,1e-999,0.1E+2,-0]}`,
			[]string{"a=[1e308,-1.7976931348623157e308,1e-999,0.1E+2,-0]"}, nil},
		{"number too large", `{"a":1e309}`, nil, strictjson.ErrSyntax},
		{"number too large inside", `{"a":[{"b":-1E+400}]}`, nil, strictjson.ErrSyntax},
		{"number in a string", `{"a":"1e309"}`, []string{`a="1e309"`}, nil},
		{"brackets in a string", `{"a":"` + strings.Repeat(`[\"`, 80) + `"}`,
			[]string{`a="` + strings.Repeat(`[\"`, 80) + `"`}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			err := strictjson.Members([]byte(tt.in), reserved, func(name string, v jsontext.Value) error {
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

func TestMembersPassesTheCallersErrorOn(t *testing.T) {
	want := errors.New("mine")
	got := strictjson.Members([]byte(`{"a":1}`), nil, func(string, jsontext.Value) error { return want })
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestValues(t *testing.T) {
	for _, in := range []string{`null`, `1`, `true`, `[]`, `{}`, `["a"]`} {
		if _, err := strictjson.String(jsontext.Value(in)); !errors.Is(err, strictjson.ErrType) {
			t.Errorf("String(%s): got %v, want %v", in, err, strictjson.ErrType)
		}
	}
	if got, err := strictjson.String(jsontext.Value(`"a\u0062"`)); got != "ab" || err != nil {
		t.Errorf("String: got %q, %v, want ab", got, err)
	}
	for _, in := range []string{`null`, `"a"`, `["a",1]`, `[null]`, `{}`} {
		if _, err := strictjson.Strings(jsontext.Value(in)); !errors.Is(err, strictjson.ErrType) {
			t.Errorf("Strings(%s): got %v, want %v", in, err, strictjson.ErrType)
		}
	}
	if got, err := strictjson.Strings(jsontext.Value(`["a","b"]`)); !slices.Equal(got, []string{"a", "b"}) || err != nil {
		t.Errorf("Strings: got %q, %v", got, err)
	}
}

func TestSeconds(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		err  error
	}{
		{`0`, 0, nil},
		{`1700000000`, 1700000000, nil},
		{`1700000000.9`, 1700000000, nil},
		{`1.7e9`, 1700000000, nil},
		{`253402300799`, 253402300799, nil},
		{`253402300800`, 0, strictjson.ErrRange},
		{`-1`, 0, strictjson.ErrRange},
		{`1e30`, 0, strictjson.ErrRange},
		{`1e400`, 0, strictjson.ErrRange},
		{`"1700000000"`, 0, strictjson.ErrType},
		{`null`, 0, strictjson.ErrType},
		{`true`, 0, strictjson.ErrType},
		{`[1]`, 0, strictjson.ErrType},
	} {
		got, err := strictjson.Seconds(jsontext.Value(tt.in))
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Seconds(%s): got %d, %v, want %d, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}
