package field_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/field"
)

// Servers that decode a form's value, as RFC 6749 has it, and those that decode percent signs alone read the same.
func TestBasic(t *testing.T) {
	for _, part := range []string{"", "a", "a b", "a+b", "a:b", "a%20b", "ä\n=&%", " "} {
		r := &http.Request{Header: http.Header{"Authorization": {field.Basic(part, part+part)}}}
		id, secret, ok := r.BasicAuth()
		if !ok || strings.Contains(id, "+") {
			t.Errorf("%q: got %q, %v, want credentials without +", part, id, ok)
		}
		for name, decode := range map[string]func(string) (string, error){
			"a form's": url.QueryUnescape, "percent signs": url.PathUnescape,
		} {
			gotID, err := decode(id)
			gotSecret, err2 := decode(secret)
			if gotID != part || gotSecret != part+part || err != nil || err2 != nil {
				t.Errorf("%s of %q: got %q %q, %v, %v", name, part, gotID, gotSecret, err, err2)
			}
		}
	}
}
