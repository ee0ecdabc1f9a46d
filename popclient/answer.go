package popclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// answers lets nothing through but tokens that can be used. What golang.org/x/oauth2 says of other answers may quote
// all of them, and a redirect would take the client's authentication elsewhere.
type answers struct {
	base    http.RoundTripper
	aliases []string // of the token type Bearer
}

// answer is a token endpoint's (RFC 6749, sections 5.1 and 5.2).
type answer struct {
	Token       string `json:"access_token"`
	Type        string `json:"token_type"`
	Lifetime    int64  `json:"expires_in,omitempty"`
	code        string
	description string
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, said := withSent(r.Context())
	resp, err := a.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, discovery.Brief(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("status %d with more than %d bytes", resp.StatusCode, maxAnswer)
	}
	read, err := readAnswer(body)
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, refuse(resp.StatusCode, said.withhold(read), discovery.Pause(discovery.Status(resp), time.Now()))
	case err != nil:
		return nil, fmt.Errorf("the answer: %w", err)
	case read.code != "": // there are servers that say no with 200
		return nil, refuse(resp.StatusCode, said.withhold(read), 0)
	case read.Token == "" || strings.ContainsFunc(read.Token, notNQCHAR):
		return nil, errToken
	}
	if slices.ContainsFunc(a.aliases, func(alias string) bool { return strings.EqualFold(alias, read.Type) }) {
		read.Type = bearer
	}
	if body, err = json.Marshal(read); err != nil { //nolint:gosec // G117: it is the answer itself
		return nil, err
	}
	resp.Header.Set("Content-Type", "application/json") // whatever it said, it has been read as that
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// readAnswer takes null for the absence of a member, as the servers that write it do. Nothing is bound by any of these.
// What else a server writes doesn't matter, nor does a description that can't be read.
func readAnswer(body []byte) (answer, error) {
	var a answer
	names := []string{"access_token", "token_type", "expires_in", "error"}
	err := strictjson.Among(body, names, func(name string, v jsontext.Value) (err error) {
		if v.Kind() == 'n' {
			return nil
		}
		switch name {
		case "access_token":
			a.Token, err = strictjson.String(v)
		case "token_type":
			a.Type, err = strictjson.String(v)
		case "expires_in":
			a.Lifetime, err = readLifetime(v)
		case "error":
			a.code, err = strictjson.String(v)
		}
		return err
	})
	if err != nil {
		return a, err // and no description: the token may be in it
	}
	if description, err := discovery.MemberOf(body, "error_description"); err == nil {
		a.description = description
	}
	return a, nil
}

var errLifetime = errors.New("expires_in is not a positive number of seconds")

// maxLifetime is what a longer one counts as: there are servers that mean "for ever" by the largest number they have.
const maxLifetime = 10 * 365 * 24 * 60 * 60

// readLifetime takes a number in any form that JSON has, or a string of one, since there are servers that write that. One
// of 0 seconds has expired, which in Lifetime would mean that nobody knows.
func readLifetime(v jsontext.Value) (int64, error) {
	said := strings.Trim(string(v), `"`)
	if strings.Trim(said, "0123456789.eE+-") != "" { // "Inf" and hexadecimal numbers are none
		return 0, errLifetime
	}
	n, err := strconv.ParseFloat(said, 64)
	if err != nil || !(n >= 1) {
		return 0, errLifetime
	}
	return int64(min(n, maxLifetime)), nil
}

// maxQuoted is how much of a text of the server's an error quotes.
const maxQuoted = 200

// refusal is the token endpoint's no. A caller finds an *oauth2.RetrieveError in it by errors.As.
type refusal struct {
	oauth *oauth2.RetrieveError
	after time.Duration // not to be asked again before
}

// refuse keeps of an answer what RFC 6749, section 5.2, has for whoever reads it.
func refuse(status int, a answer, after time.Duration) refusal {
	e := &oauth2.RetrieveError{
		Response:  &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status))},
		ErrorCode: quotable(a.code),
	}
	if a.Token == "" { // whatever that is an answer to, the token may be in the text as well
		e.ErrorDescription = quotable(a.description)
	}
	return refusal{e, after}
}

func (r refusal) Error() string {
	s := fmt.Sprintf("status %d", r.oauth.Response.StatusCode)
	if r.oauth.ErrorCode != "" {
		s += fmt.Sprintf(", %q", r.oauth.ErrorCode)
	}
	if r.oauth.ErrorDescription != "" {
		s += fmt.Sprintf(": %q", r.oauth.ErrorDescription)
	}
	return s
}

func (r refusal) Unwrap() error { return r.oauth }

func quotable(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
	return s[:min(len(s), maxQuoted)]
}
