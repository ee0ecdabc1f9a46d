package field_test

import (
	"testing"

	"github.com/seed-171ab058/popauth/internal/field"
)

func TestOverridesMethod(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Http-Method-Override": true,
		"X-HTTP-Method-Override": true,
		"x-http-method":          true,
		"X_Http_Method":          true,
		"X.Method.Override":      true,
		"X~HTTP-method!override": true, // any character, as in Fold
		"X|Method-Override":      true,
		"X-Http-Methods":         false,
		"X-Http-Metho":           false,
		"XaHttp-Method":          false,
		"X-Ht-p-Method":          false,
		"Y-Http-Method":          false,
		"X-Request-Id":           false,
		"Method-Override":        false,
		"":                       false,
	} {
		if got := field.OverridesMethod(name); got != want {
			t.Errorf("%q: got %t, want %t", name, got, want)
		}
	}
}

func TestIsInUpperCase(t *testing.T) {
	tests := []struct {
		value, method string
		want          bool
	}{
		{value: "DELETE", method: "DELETE", want: true},
		{value: "delete", method: "DELETE", want: true},
		{value: "DELETE ", method: "DELETE", want: false},
		{value: "PUT", method: "GET", want: false},
		{value: "", method: "GET", want: false},
		{value: "ſet", method: "SET", want: false}, // its upper case is S, by Unicode
	}
	for _, tt := range tests {
		if got := field.IsInUpperCase(tt.value, tt.method); got != tt.want {
			t.Errorf("%q, %q: got %t, want %t", tt.value, tt.method, got, tt.want)
		}
	}
}
