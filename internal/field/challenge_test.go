package field_test

import (
	"testing"

	"github.com/seed-171ab058/popauth/internal/field"
)

func TestChallenge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		params [][2]string
		want   string
	}{
		{name: "a scheme alone", want: `DPoP`},
		{name: "one", params: [][2]string{{"algs", "ES256 EdDSA"}}, want: `DPoP algs="ES256 EdDSA"`},
		{name: "in order", params: [][2]string{{"error", "use_dpop_nonce"}, {"algs", "ES256"}},
			want: `DPoP error="use_dpop_nonce", algs="ES256"`},
		{name: "one without a value first", params: [][2]string{{"error", ""}, {"realm", "a"}}, want: `DPoP realm="a"`},
		{name: "a quote and a backslash", params: [][2]string{{"realm", `a"b\c`}}, want: `DPoP realm="a'b'c"`},
	} {
		got := field.Challenge("DPoP", func(add func(name, value string)) {
			for _, p := range tt.params {
				add(p[0], p[1])
			}
		})
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
