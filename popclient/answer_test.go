package popclient_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// What a token endpoint says in error is bounded, on one line, and never a token.
func TestTokenAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   string // of the error; "" is none
	}{
		"good":               {200, `{"access_token":"secret","token_type":"BEARER","expires_in":300,"scope":"x"}`, ""},
		"lifetime in quotes": {200, `{"access_token":"secret","token_type":"Bearer","expires_in":"300"}`, ""},
		"DPoP":               {200, `{"access_token":"secret","token_type":"DPoP"}`, "type is not Bearer"},
		"no type":            {200, `{"access_token":"secret"}`, "type is not Bearer"},
		"no token":           {200, `{"token_type":"Bearer"}`, "no token"},
		"empty":              {200, `{"access_token":"","token_type":"Bearer"}`, "no token"},
		"line break":         {200, `{"access_token":"secret\n","token_type":"Bearer"}`, "no token"},
		"twice":              {200, `{"access_token":"secret","token_type":"Bearer","access_token":"b"}`, "there twice"},
		"type twice":         {200, `{"access_token":"secret","token_type":"DPoP","token_type":"Bearer"}`, "there twice"},
		"another twice":      {200, `{"access_token":"secret","token_type":"Bearer","scope":"a","scope":"a"}`, ""},
		"byte order mark":    {200, "\ufeff" + `{"access_token":"secret","token_type":"Bearer"}`, ""},
		"Latin-1 elsewhere":  {200, "{\"access_token\":\"secret\",\"token_type\":\"Bearer\",\"x\":\"caf\xe9\"}", ""},
		"Latin-1":            {200, "{\"access_token\":\"secret\xe9\",\"token_type\":\"Bearer\"}", "strict JSON"},
		"deep elsewhere": {200, `{"access_token":"secret","token_type":"Bearer","x":` + strings.Repeat("[", 40) +
			strings.Repeat("]", 40) + "}", ""},
		"beyond elsewhere": {200, `{"access_token":"secret","token_type":"Bearer","x":1e999}`, ""},
		"odd description":  {400, "{\"error_description\":\"caf\xe9\",\"error\":\"invalid_client\"}", `status 400, "invalid_client"`},
		"two tokens in a no": {400, `{"access_token":"secret","access_token":"secret","error":"x","error_description":"secret"}`,
			`status 400`},
		"other case":      {200, `{"access_token":"secret","token_type":"Bearer","Expires_in":9}`, "case only"},
		"token no string": {200, `{"access_token":["secret"],"token_type":"Bearer"}`, "wrong JSON type"},
		"fraction":        {200, `{"access_token":"secret","token_type":"Bearer","expires_in":300.5}`, ""},
		"whole fraction":  {200, `{"access_token":"secret","token_type":"Bearer","expires_in":300.0}`, ""},
		"exponent":        {200, `{"access_token":"secret","token_type":"Bearer","expires_in":3e2}`, ""},
		"lifetime null": {200, `{"access_token":"secret","token_type":"Bearer","expires_in":null,"error":null,"error_description"` +
			`:null}`, ""},
		"largest":            {200, `{"access_token":"secret","token_type":"Bearer","expires_in":9223372036854775}`, ""},
		"infinite":           {200, `{"access_token":"secret","token_type":"Bearer","expires_in":"Inf"}`, "number of seconds"},
		"beyond infinite":    {200, `{"access_token":"secret","token_type":"Bearer","expires_in":1e999}`, "strict JSON"},
		"less than a second": {200, `{"access_token":"secret","token_type":"Bearer","expires_in":0.5}`, "number of seconds"},
		"true":               {200, `{"access_token":"secret","token_type":"Bearer","expires_in":true}`, "number of seconds"},
		"token null":         {200, `{"access_token":null,"token_type":"Bearer"}`, "no token"},
		"type null":          {200, `{"access_token":"secret","token_type":null}`, "type is not Bearer"},
		"BearerToken":        {200, `{"access_token":"secret","token_type":"BearerToken"}`, "type is not Bearer"},
		"200 and no": {200, `{"error":"incorrect_client_credentials","error_description":"no such client"}`,
			`status 200, "incorrect_client_credentials": "no such client"`},
		"200, no, and token": {200, `{"error":"x","error_description":"secret","access_token":"secret","token_type":"Bearer"}`,
			`status 200, "x"`},
		"negative": {200, `{"access_token":"secret","token_type":"Bearer","expires_in":-1}`, "number of seconds"},
		"zero":     {200, `{"access_token":"secret","token_type":"Bearer","expires_in":0}`, "number of seconds"},
		"huge":     {200, `{"access_token":"secret","token_type":"Bearer","expires_in":99999999999}`, ""},
		"form":     {200, `access_token=secret&token_type=Bearer`, "strict JSON"},
		"large": {200, `{"access_token":"secret","token_type":"Bearer","x":"` + strings.Repeat("x", 64<<10) + `"}`,
			"more than 65536 bytes"},
		"201": {201, `{"access_token":"secret","token_type":"Bearer"}`, "status 201"},
		"refused": {400, `{"error":"invalid_scope","error_description":"no such scope"}`,
			`status 400, "invalid_scope": "no such scope"`},
		"no JSON":       {502, "<html>secret", "status 502"},
		"large refusal": {502, strings.Repeat("secret ", 10<<10), "more than 65536 bytes"},
		"line breaks":   {400, `{"error":"a\nb","error_description":"c\u001b\u0000d"}`, `status 400, "a?b": "c??d"`},
		"long": {400, `{"error":"x","error_description":"` + strings.Repeat("y", 1000) + `"}`,
			`"x": "` + strings.Repeat("y", 200) + `"`},
		"with token": {400, `{"error":"x","error_description":"secret","access_token":"secret"}`, `status 400, "x"`},
		"redirect":   {307, ``, "status 307"},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				s.answer = func(int) (int, string) { return test.status, test.body }
				_, err := s.get(t)
				switch {
				case (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want):
					t.Errorf("got %v, want %q", err, test.want)
				case err != nil && (strings.Contains(fmt.Sprintf("%+v %s", err, s.logged()), "secret") ||
					strings.Contains(err.Error(), "\n") || len(err.Error()) > 500):
					t.Errorf("VULNERABLE: got %+v", err)
				}
				var refusal *oauth2.RetrieveError
				if found := errors.As(err, &refusal); found != (test.want != "" && strings.Contains(test.want, "status") ||
					name == "long") {
					t.Errorf("got RetrieveError: %v", found)
				} else if found && (refusal.Response == nil || refusal.Response.StatusCode != test.status || refusal.Body != nil) {
					t.Errorf("got %+v", refusal)
				}
			})
		})
	}
}
