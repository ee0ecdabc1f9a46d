package layout_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// today is what doesn't keep the rules yet.
var today = exceptions{
	imports: []edge{},
	lines:   map[string]int{},
}

func TestLayout(t *testing.T) {
	all, err := readTree(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range today.broken(all) {
		t.Error(s)
	}
}

// Each rule is broken once, in a repository of a few files.
func TestRules(t *testing.T) {
	long := strings.Repeat("\n", maxLines)
	tests := []struct {
		name       string
		files      map[string]string // beside go.mod and the root's popauth.go
		exceptions exceptions
		want       string // what one complaint begins with; none where it is empty
	}{
		{
			name: "every import that runs down",
			files: map[string]string{
				"popauth.go":             importing("net/http", "m/internal/keys", "m/internal/jose"),
				"internal/keys/keys.go":  importing("m/internal/jose"),
				"internal/jose/jose.go":  importing("m/internal/uri"),
				"internal/uri/uri.go":    importing("net/url"),
				"dpop/dpop.go":           importing("m", "m/internal/keys", "m/dpop/proof"),
				"dpop/proof/proof.go":    importing("m/internal/jose"),
				"examples/story/main.go": importing("m", "m/dpop", "m/proxy", "m/internal/lab"),
				"proxy/proxy.go":         importing("m", "elsewhere/m/dpop"),
			},
		},
		{
			name:  "the root imports an opt-in package",
			files: map[string]string{"popauth.go": importing("m/dpop")},
			want:  ". imports dpop, which runs up: ",
		},
		{
			name:  "the root imports an example",
			files: map[string]string{"popauth.go": importing("m/examples/proxies")},
			want:  ". imports examples/proxies, which runs up: ",
		},
		{
			name:  "a mechanism imports the root",
			files: map[string]string{"internal/jose/jose.go": importing("m")},
			want:  "internal/jose imports ., which runs up: ",
		},
		{
			name:  "a mechanism imports an opt-in package",
			files: map[string]string{"internal/jose/jose.go": importing("m/dpop")},
			want:  "internal/jose imports dpop, which runs up: ",
		},
		{
			name:  "a mechanism imports internal/keys",
			files: map[string]string{"internal/discovery/discovery.go": importing("m/internal/keys")},
			want:  "internal/discovery imports internal/keys, which runs up: ",
		},
		{
			name:  "a mechanism imports a part of internal/keys",
			files: map[string]string{"internal/discovery/discovery.go": importing("m/internal/keys/remote")},
			want:  "internal/discovery imports internal/keys/remote, which runs up: ",
		},
		{
			name:  "internal/keys imports the root",
			files: map[string]string{"internal/keys/keys.go": importing("m")},
			want:  "internal/keys imports ., which runs up: ",
		},
		{
			name:  "internal/keys imports an opt-in package",
			files: map[string]string{"internal/keys/remote/remote.go": importing("m/issuers")},
			want:  "internal/keys/remote imports issuers, which runs up: ",
		},
		{
			name:  "an opt-in package imports another",
			files: map[string]string{"dpop/dpop.go": importing("m", "m/proxy")},
			want:  "dpop imports proxy, which joins two opt-in packages: ",
		},
		{
			name: "an opt-in package of a module of its own imports another",
			files: map[string]string{
				"redisreplay/go.mod":         "module m/redisreplay\n",
				"redisreplay/redisreplay.go": importing("m/dpop"),
			},
			want: "redisreplay imports dpop, which joins two opt-in packages: ",
		},
		{
			name:  "an opt-in package imports a test's helper",
			files: map[string]string{"dpop/dpop.go": importing("m/internal/lab")},
			want:  "dpop imports internal/lab, which runs up: ",
		},
		{
			name:  "another system's file imports it",
			files: map[string]string{"popauth_windows.go": "//go:build windows\n\n" + importing("m/dpop")},
			want:  ". imports dpop, which runs up: ",
		},
		{
			name: "tests, and what the go command ignores, import what they like",
			files: map[string]string{
				"popauth_test.go":             importing("m/dpop"),
				"internal/jose/jose_test.go":  importing("m"),
				"dpop/testdata/other.go":      importing("m/proxy"),
				"proxy/_old/old.go":           importing("m/dpop"),
				".git/hook.go":                "not Go",
				"interop/node_modules/gyp.go": "not Go",
			},
		},
		{
			name:       "an exception",
			files:      map[string]string{"popauth.go": importing("m/proxy")},
			exceptions: exceptions{imports: []edge{{".", "proxy"}}},
		},
		{
			name:       "an exception that isn't needed any more",
			exceptions: exceptions{imports: []edge{{".", "proxy"}}},
			want:       ". doesn't import proxy any more: delete the exception",
		},
		{
			name: "a file of the root that is as long as it may be, and longer ones elsewhere",
			files: map[string]string{"doc.go": "package m\n" + long[1:], "doc_test.go": "package m\n" + long,
				"dpop/dpop.go": "package dpop\n" + long},
		},
		{
			name:  "a file of the root that is too long",
			files: map[string]string{"doc.go": "package m\n" + long},
			want:  "doc.go has 351 lines, at most 350 are allowed: ",
		},
		{
			name:       "a file that is as long as its exception says",
			files:      map[string]string{"doc.go": "package m\n" + long},
			exceptions: exceptions{lines: map[string]int{"doc.go": 351}},
		},
		{
			name:       "a file that has outgrown its exception",
			files:      map[string]string{"doc.go": "package m\n" + long + "\n"},
			exceptions: exceptions{lines: map[string]int{"doc.go": 351}},
			want:       "doc.go has 352 lines, at most 351 are allowed: ",
		},
		{
			name:       "a file that has become shorter than its exception",
			files:      map[string]string{"doc.go": "package m\n" + long},
			exceptions: exceptions{lines: map[string]int{"doc.go": 352}},
			want:       "doc.go has 351 lines only: lower its exception from 352",
		},
		{
			name:       "a file that needs no exception any more",
			files:      map[string]string{"doc.go": "package m\n"},
			exceptions: exceptions{lines: map[string]int{"doc.go": 352}},
			want:       "doc.go has 1 lines: delete the exception",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := fstest.MapFS{"go.mod": {Data: []byte("module m\n\ngo 1.26\n")}, "popauth.go": {Data: []byte("package m\n")}}
			for name, text := range tt.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			all, err := readTree(fsys)
			if err != nil {
				t.Fatal(err)
			}
			got := tt.exceptions.broken(all)
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("got %q, want no complaint", got)
			case tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)):
				t.Errorf("got %q, want one that begins with %q", got, tt.want)
			}
		})
	}
}

// A test that reads the wrong place must not find everything in order.
func TestNoRepository(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"no go.mod":         {"popauth.go": {Data: []byte("package m\n")}},
		"no module line":    {"go.mod": {Data: []byte("go 1.26\n")}, "popauth.go": {Data: []byte("package m\n")}},
		"no package":        {"go.mod": {Data: []byte("module m\n")}, "dpop/dpop.go": {Data: []byte("package dpop\n")}},
		"a file without Go": {"go.mod": {Data: []byte("module m\n")}, "popauth.go": {Data: []byte("pakcage m\n")}},
	} {
		if _, err := readTree(fsys); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// importing is a file that imports what it is told.
func importing(paths ...string) string {
	var b strings.Builder
	b.WriteString("package p\n\n")
	for _, p := range paths {
		b.WriteString("import _ \"" + p + "\"\n")
	}
	return b.String()
}
