package field_test

import (
	"testing"

	"github.com/seed-171ab058/popauth/internal/field"
)

func TestTaken(t *testing.T) {
	for name, want := range map[string]bool{
		"Connection": true, "connection": true, "TE": true, "Host": true, "Content-Length": true, "Transfer-Encoding": true,
		"Authorization": true,
		"Early-Data":    true, "X-Forwarded-For": true, "X-Gateway-Secret": false, "X-Auth": false, "": false,
	} {
		if got := field.Taken(name); (got != "") != want {
			t.Errorf("%s: got %q, want it taken: %t", name, got, want)
		}
	}
}
