package popauth

import "testing"

// A compact JWS has three segments, whatever is in them (RFC 7515, section 7.1); what has more is refused before its header is read.
func TestPart(t *testing.T) {
	for _, tt := range []struct {
		token string
		want  jws // none: malformed
	}{
		{token: "h.p.s", want: jws{header: "h", payload: "p", signature: "s", signed: "h.p"}},
		{token: "h..s", want: jws{header: "h", signature: "s", signed: "h."}},
		{token: "h.p.", want: jws{header: "h", payload: "p", signed: "h.p"}},
		{token: ""},
		{token: "h"},
		{token: "h.p"},
		{token: "h.p.s."},
		{token: "h.p.s.x"},
		{token: "h.k.i.c.t"}, // a JWE
	} {
		got, err := part(tt.token)
		if got != tt.want || (err != nil) != (tt.want == jws{}) {
			t.Errorf("%q: got %+v, %v, want %+v", tt.token, got, err, tt.want)
		}
	}
}
