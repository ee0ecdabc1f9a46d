package mismatch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/mismatch"
)

// What a sender chose is quoted, in ASCII, and cut; what is not there is told from what says so.
func TestText(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{name: "nothing", want: "absent"},
		{name: "a word", text: "absent", want: `"absent"`},
		{name: "line breaks", text: "a\r\nb", want: `"a\r\nb"`},
		{name: "an escape, a quote and no UTF-8", text: "\x1b[31m\"\xff", want: `"\x1b[31m\"\xff"`},
		{name: "beyond ASCII", text: "é\u2028", want: `"\u00e9\u2028"`},
		{name: "long", text: strings.Repeat("x", 1<<20), want: `"` + strings.Repeat("x", 128) + `" and 1048448 bytes more`},
		{name: "long by its escapes", text: strings.Repeat("\x00", 128), want: `"` + strings.Repeat(`\x00`, 64)[:255] + `"`},
	} {
		if got := mismatch.Text(tt.text); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestLists(t *testing.T) {
	many := strings.Split(strings.Repeat("a ", 1000)+"a", " ")
	for _, tt := range []struct{ name, got, want string }{
		{name: "nobody's", got: mismatch.Texts(nil), want: "absent"},
		{name: "a sender's", got: mismatch.Texts([]string{"a", "", "\n"}), want: `"a", "", "\n"`},
		{name: "a sender's long one", got: mismatch.Texts(many), want: `"a", "a", "a", "a", "a", 996 more`},
		{name: "one would do", got: mismatch.Any([]string{"a", "é"}), want: `"a" or "\u00e9"`},
		{name: "all are needed", got: mismatch.All([]string{"a", "b"}), want: `"a" and "b"`},
		{name: "this side's own", got: mismatch.Own("a\nb"), want: `"a\nb"`},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}

func TestTimes(t *testing.T) {
	zone := time.FixedZone("", 3600)
	if got, want := mismatch.At(time.Date(2027, 1, 15, 9, 0, 0, 5e8, zone)), "2027-01-15T08:00:00Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for d, want := range map[time.Duration]string{
		-1500 * time.Microsecond: "2ms", 9999 * time.Millisecond: "9.999s", 10*time.Second + 400*time.Millisecond: "10s",
		-time.Hour: "1h0m0s",
	} {
		if got := mismatch.By(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
}

func TestError(t *testing.T) {
	e := &mismatch.Error{What: "aud", Got: `"a"`, Want: `"b"`}
	if got, want := e.Error(), `aud is "a", want "b"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	e.Advice = "ask for b"
	if got, want := e.Error(), `aud is "a", want "b": ask for b`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
