package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// payload is that of an access token with everything RFC 9068 asks for: 346 bytes.
const payload = `{"iss":"https://id.example.com/realms/shop","aud":["https://api.example.com","account"],"sub":"a1b2c3d4-0000-4000-800` +
	`0-1234567890ab","client_id":"order-batch","iat":1800000000,"exp":1800000300,"jti":"JG3KQ7XW2NVYB5RLT4HDM6PZCA","scope":"orders.re` +
	`ad orders.write profile","cnf":{"x5t#S256":"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"},"acr":"1"}`

var reserved = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "cnf"}

type standard struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	Expiry   json.RawMessage `json:"exp"`
	Issued   json.RawMessage `json:"iat"`
	ID       string          `json:"jti"`
	Client   string          `json:"client_id"`
	Scope    string          `json:"scope"`
	CNF      json.RawMessage `json:"cnf"`
}

// The readers that there were to choose from. Those of the standard library read into a struct, as they would be used.
var readers = []struct {
	name string
	read func([]byte) error
}{
	{"strictjson", func(b []byte) error {
		return strictjson.Members(b, reserved, func(string, jsontext.Value) error { return nil })
	}},
	{"encoding/json", func(b []byte) error {
		var c standard
		return json.Unmarshal(b, &c)
	}},
	{"encoding/json map", func(b []byte) error {
		var c map[string]any
		return json.Unmarshal(b, &c)
	}},
	{"encoding/json Decoder", func(b []byte) error {
		var c standard
		return json.NewDecoder(bytes.NewReader(b)).Decode(&c)
	}},
	{"encoding/json with checks", func(b []byte) error {
		if err := checked(b); err != nil {
			return err
		}
		var c standard
		return json.Unmarshal(b, &c)
	}},
	{"json v2", func(b []byte) error {
		var c map[string]jsontext.Value
		return jsonv2.Unmarshal(b, &c)
	}},
}

var errChecked = errors.New("not strict")

// checked makes up for what encoding/json lets pass: a second run through its tokens.
func checked(b []byte) error {
	if !utf8.Valid(b) {
		return errChecked
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := value(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errChecked
	}
	return nil
}

func value(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, nested := t.(json.Delim)
	switch {
	case nested && depth > strictjson.MaxDepth, depth == 0 && open != '{':
		return errChecked
	case !nested:
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := t.(string)
			if seen[name] {
				return errChecked
			}
			seen[name] = true
			for _, r := range reserved {
				if depth == 0 && name != r && strings.EqualFold(name, r) {
					return errChecked
				}
			}
		}
		if err := value(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// TestWhatOthersAccept is why this package stands on jsontext: what each reader wrongly accepts.
func TestWhatOthersAccept(t *testing.T) {
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	for _, tt := range []struct {
		name, in string
		wrong    string // the readers that accept it, as 1 for each in the order of readers
	}{
		{"good", payload, "111111"},
		{"member twice", `{"sub":"a","sub":"b"}`, "011100"},
		{"member twice inside", `{"cnf":{"a":1,"a":2}}`, "011100"},
		{"member twice by escape", `{"sub":"a","s\u0075b":"b"}`, "011100"},
		{"folded member", `{"sub":"a","SUB":"b"}`, "011101"},
		{"folded by a long s", "{\"sub\":\"a\",\"\u017fub\":\"b\"}", "011101"},
		{"invalid UTF-8", "{\"sub\":\"\xff\"}", "011100"},
		{"lone surrogate", `{"sub":"\ud800"}`, "011110"},
		{"trailing object", `{"sub":"a"}{"sub":"b"}`, "000100"},
		{"trailing garbage", `{"sub":"a"}x`, "000100"},
		{"null", `null`, "011101"},
		{"array", `[]`, "000000"},
		{"nested 9000 deep", `{"x":` + deep + `}`, "011101"},
		{"number beyond float64", `{"x":1e999}`, "010111"},
		{"byte order mark", "\ufeff{}", "000000"},
	} {
		got := ""
		for _, r := range readers {
			if r.read([]byte(tt.in)) == nil {
				got += "1"
			} else {
				got += "0"
			}
		}
		if got != tt.wrong {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.wrong)
		}
	}
}

func BenchmarkReaders(b *testing.B) {
	for _, r := range readers {
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			data := []byte(payload)
			for b.Loop() {
				if err := r.read(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
