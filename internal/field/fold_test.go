package field_test

import (
	"testing"

	"github.com/seed-171ab058/popauth/internal/field"
)

func TestFold(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{name: "X-Client-Cert", want: "x-client-cert"},
		{name: "x_CLIENT.Cert", want: "x-client-cert"},
		{name: "X-Auth2", want: "x-auth2"},
		{name: "\u212aelvin", want: "-elvin"}, // the sign, which EqualFold takes for a k
		{name: "", want: ""},
	} {
		if got := field.Fold(tt.name); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
