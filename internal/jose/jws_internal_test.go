package jose

import "testing"

// A compact JWS has three segments, whatever is in them (RFC 7515, section 7.1); what has more is refused before its header is read.
func TestPart(t *testing.T) {
	for _, tt := range []struct {
		token string
		want  JWS // none: malformed
	}{
		{token: "h.p.s", want: JWS{Header: "h", Payload: "p", Signature: "s", Signed: "h.p"}},
		{token: "h..s", want: JWS{Header: "h", Signature: "s", Signed: "h."}},
		{token: "h.p.", want: JWS{Header: "h", Payload: "p", Signed: "h.p"}},
		{token: ""},
		{token: "h"},
		{token: "h.p"},
		{token: "h.p.s."},
		{token: "h.p.s.x"},
		{token: "h.k.i.c.t"}, // a JWE
	} {
		got, err := Split(tt.token)
		if got != tt.want || (err != nil) != (tt.want == JWS{}) {
			t.Errorf("%q: got %+v, %v, want %+v", tt.token, got, err, tt.want)
		}
	}
}
