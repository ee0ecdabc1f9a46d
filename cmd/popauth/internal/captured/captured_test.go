package captured_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/captured"
)

// The three forms of one request are read alike.
func TestRead(t *testing.T) {
	const target = "/a%20b/%2e?x=1&y='2'"
	for name, text := range map[string]string{
		"raw":           "POST " + target + " HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: DPoP t\r\nDPoP: p\r\n\r\nbody",
		"raw of a file": "POST " + target + " HTTP/1.1\nHost: api.example.com\nAuthorization: DPoP t\nDPoP: p",
		"raw of HTTP/2": "\n\nPOST " + target + " HTTP/2\nhost: api.example.com\nauthorization: DPoP t\ndpop: p\n\n",
		"curl": `curl 'https://api.example.com/a%20b/%2e?x=1&y='\''2'\''' -X POST -H 'authorization: DPoP t' ` +
			`-H "DPoP: p" --data-raw '{}' --compressed`,
		"curl, lines": "$ curl --url \"https://api.example.com/a%20b/%2e?x=1&y='2'\" \\\n  -HAuthorization:\\ DPoP\\ t \\\n " +
			"-sSd '{\"a\":1}' -H $'DPoP: p'\n",
		"curl, other Host": `curl https://127.0.0.1:8443/a%20b/%2e?x=1\&y=\'2\' -H 'Host: api.example.com' --json {} ` +
			`-H 'Authorization: DPoP t' -H DPoP:p -k`,
		"HAR":                har(t, `{"log":{"entries":[`, `]}}`, target),
		"entry":              har(t, ``, ``, target),
		"request of a entry": strings.TrimSuffix(strings.TrimPrefix(har(t, ``, ``, target), `{"request":`), `,"response":{"status":200}}`),
	} {
		r, err := captured.Read([]byte(text), 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Method != "POST" || r.RequestURI != target || r.Host != "api.example.com" ||
			r.Header.Get("Authorization") != "DPoP t" || r.Header.Get("DPoP") != "p" {
			t.Errorf("%s: got %s %s, Host %s, %v", name, r.Method, r.RequestURI, r.Host, r.Header)
		}
	}
}

func har(t *testing.T, before, after, target string) string {
	t.Helper()
	url, err := json.Marshal("https://api.example.com" + target + "#part")
	if err != nil {
		t.Fatal(err)
	}
	return before + `{"request":{"method":"POST","url":` + string(url) +
		`,"httpVersion":"h2","headers":[{"name":":authority","value":"api.example.com"},` +
		`{"name":"Authorization","value":"DPoP t"},{"name":"DPoP","value":"p"},{"name":"content-length","value":"4"}]},` +
		`"response":{"status":200}}` + after
}

// A command is never run, and what a shell would do something for is refused.
func TestReadCurlRunsNothing(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("TOKEN", "secret")
	if err := os.WriteFile(filepath.Join(dir, "headers"), []byte("Authorization: Bearer secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"command in a word":  `curl https://a.example/$(touch ran)`,
		"backquotes":         "curl https://a.example/`touch ran`",
		"in double quotes":   `curl "https://a.example/$(touch ran)"`,
		"variable":           `curl https://a.example -H "Authorization: Bearer $TOKEN"`,
		"braces of variable": `curl https://a.example -H "Authorization: Bearer ${TOKEN:=x}"`,
		"arithmetic":         `curl https://a.example/$((1+1))`,
		"second command":     `curl https://a.example; touch ran`,
		"and":                `curl https://a.example && touch ran`,
		"pipe":               `curl https://a.example | sh`,
		"background":         `curl https://a.example &`,
		"second line":        "curl https://a.example\ntouch ran",
		"redirection":        `curl https://a.example >ran`,
		"here document":      "curl https://a.example <<X\nX\n",
		"process":            `curl https://a.example -d @<(touch ran)`,
		"assignment":         `curl https://a.example -H "a: ${X:=$(touch ran)}"`,
		"home":               `curl ~/x https://a.example`,
		"headers of a file":  `curl https://a.example -H @headers`,
		"config":             `curl https://a.example -K headers`,
		"config, long":       `curl --config headers https://a.example`,
		"two URLs":           `curl https://a.example https://b.example`,
		"next":               `curl https://a.example --next https://b.example`,
		"no URL":             `curl -s`,
		"value missing":      `curl https://a.example -H`,
		"unknown":            `curl https://a.example --hack`,
		"unknown letter":     `curl https://a.example -Z`,
		"not closed":         `curl 'https://a.example`,
		"line end in header": `curl https://a.example -H $'a: b\r\nAuthorization: Bearer x'`,
		"line end in method": `curl https://a.example -X $'GET\r\nA: b'`,
		"line end in URL":    `curl $'https://a.example/\r\nA: b'`,
		"another scheme":     `curl file:///etc/passwd`,
		"cmd.exe":            `curl ^"https://a.example^" ^ -H ^"a: b^"`,
	} {
		if r, err := captured.Read([]byte(text), 0); err == nil {
			t.Errorf("%s: got %s %s %v, want an error", name, r.Method, r.RequestURI, r.Header)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{`curl https://a.example -H @headers`, `curl https://a.example -K headers`} {
		if _, err := captured.Read([]byte(text), 0); err == nil || !strings.Contains(err.Error(), "isn't opened") {
			t.Errorf("%s: got %v, want that the file isn't opened", text, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("VULNERABLE: a command was run")
	}
}

func TestReadMethods(t *testing.T) {
	for text, want := range map[string]string{
		`curl https://a.example`:                           "GET /",
		`curl a.example?q`:                                 "GET /?q",
		`curl -I https://a.example`:                        "HEAD /",
		`curl -d a=b https://a.example`:                    "POST /",
		`curl -G -d a=b -d c=d https://a.example/x`:        "GET /x?a=b&c=d",
		`curl -F a=b https://a.example`:                    "POST /",
		`curl -T file https://a.example/x`:                 "PUT /x",
		`curl -XDELETE https://a.example/x -m 5 -o /dev/n`: "DELETE /x",
	} {
		r, err := captured.Read([]byte(text), 0)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := r.Method + " " + r.RequestURI; got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		`curl https://a.example -u me:x`:                                        "Basic bWU6eA==",
		`curl https://a.example --oauth2-bearer t`:                              "Bearer t",
		`curl https://a.example -u me:x -H 'Authorization: DPoP t'`:             "DPoP t",
		`curl https://a.example -H 'Authorization:' -u me:x`:                    "",
		`curl https://a.example -H 'Authorization: a' -H 'Authorization: b' -s`: "a,b",
	} {
		r, err := captured.Read([]byte(text), 0)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.Join(r.Header.Values("Authorization"), ","); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// What can be read in two ways is read in none.
func TestReadStrict(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string
		entry int
		says  string
	}{
		"empty":             {" \n", 0, "empty"},
		"no request":        {"hello", 0, "RFC 9112"},
		"two hosts":         {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 0, "Host"},
		"no host":           {"GET / HTTP/1.1\r\n\r\n", 0, "no Host"},
		"pseudo-headers":    {":method: GET\n:path: /\n", 0, "copy the request as cURL"},
		"name with a space": {"GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer x\r\n\r\n", 0, "RFC 9110"},
		"entry of raw HTTP": {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, "none"},
		"member twice":      {`{"request":{"method":"GET","url":"https://a","url":"https://b","headers":[]}}`, 0, "ambiguous"},
		"no HAR":            {`{"a":1}`, 0, "no HAR file"},
		"cut off":           {`{"log":{"entries":[{"request":{"meth`, 0, "no HAR file"},
		"which entry": {`{"log":{"entries":[{"request":{"method":"GET","url":"https://a/x?secret=1"}},{}]}}`, 0,
			"1: GET https://a/x (0)"},
		"no such entry":     {`{"log":{"entries":[{"request":{"method":"GET","url":"https://a/x"}},{}]}}`, 7, "of 2"},
		"entry without any": {`{"log":{"entries":[{}]}}`, 1, "of 1"},
		"line end in a value": {`{"request":{"method":"GET","url":"https://a","headers":[` +
			`{"name":"a","value":"b\r\nAuthorization: Bearer x"}]}}`, 0, "line end"},
		"line end in a name": {`{"request":{"method":"GET","url":"https://a","headers":[{"name":"a: b\nc","value":"d"}]}}`, 0, "line end"},
		"method":             {`{"request":{"method":"GET / HTTP/1.1\nA: b","url":"https://a"}}`, 0, "method"},
		"scheme":             {`{"request":{"method":"GET","url":"file:///etc/passwd"}}`, 0, "URL"},
	} {
		_, err := captured.Read([]byte(tt.text), tt.entry)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q in it", name, err, tt.says)
		}
	}
	if r, err := captured.Read([]byte(`{"request":{"method":"GET","url":"https://a/"}}`), 0); err != nil || len(r.Notes) != 1 {
		t.Errorf("without Authorization: got %v, %v, want a note", r, err)
	}
}

// Whatever is read is a request that Read reads in the same way again.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", `curl https://a.example -H 'a: b'`, `{"request":{"method":"GET","url":"https://a/"}}`,
		`curl -d "$(x)" a`, "curl $'a\\x0ab'",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := captured.Read(b, 0)
		if err != nil {
			return
		}
		var again strings.Builder
		again.WriteString(r.Method + " " + r.RequestURI + " HTTP/1.1\r\nHost: " + r.Host + "\r\n")
		if err := r.Header.Write(&again); err != nil {
			t.Fatal(err)
		}
		second, err := captured.Read([]byte(again.String()), 0)
		if err != nil {
			t.Fatalf("%q: read %q, and then %v", b, again.String(), err)
		}
		if second.Method != r.Method || second.RequestURI != r.RequestURI || second.Host != r.Host || len(second.Header) != len(r.Header) {
			t.Errorf("%q: got %v, then %v", b, r.Header, second.Header)
		}
	})
}
