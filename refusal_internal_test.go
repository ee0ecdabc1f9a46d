package popauth

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// busy is a cause that says how long to wait.
type busy struct{ error }

func (busy) RetryAfter() time.Duration { return 7 * time.Second }

// A Refusal is what Refuse writes, for every reason and whatever belongs to the answer.
func TestRefusalIsWhatRefuseWrites(t *testing.T) {
	o := Options{Verifier: verifyNone{}, Confirmers: []Confirmer{MutualTLS{}, underScheme{}}}
	plain, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Deny = ProblemDetails
	worded, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	kept := http.Header{"Cache-Control": {"public"}, "Etag": {"a"}, "Dpop-Nonce": {"n"}, "Www-Authenticate": {"Own"}}
	const foreign = Reason("one of somebody else's")
	for _, reason := range append(slices.Collect(maps.Keys(answers)), foreign) {
		for _, e := range []*Error{
			{Reason: reason},
			{Reason: reason, Err: busy{errors.New("busy")}, used: "DPoP", needed: []Param{{"scope", "orders.read"}}},
			{Reason: reason, closes: true, header: kept},
		} {
			r := httptest.NewRequest(http.MethodPost, "/orders", http.NoBody)
			no := plain.Refusal(r, e)
			got := no.Header()
			w := httptest.NewRecorder()
			plain.Refuse(w, r, e)
			if no.Status != w.Code || !maps.EqualFunc(got, w.Header(), slices.Equal) {
				t.Errorf("%q, %+v: got %d %v, want %d %v", reason, e, no.Status, got, w.Code, w.Header())
			}
			if got.Get("Cache-Control") != "no-store" || got["Etag"] != nil {
				t.Errorf("%q: got %v, want no-store and nothing of what was kept", reason, got)
			}
			if closes := got.Get("Connection") == "close"; closes != e.closes {
				t.Errorf("%q: Connection: got %q", reason, got.Get("Connection"))
			}
			if got.Get("Dpop-Nonce") != e.header.Get("Dpop-Nonce") {
				t.Errorf("%q: got nonce %q, want %q", reason, got.Get("Dpop-Nonce"), e.header.Get("Dpop-Nonce"))
			}
			w = httptest.NewRecorder()
			worded.Refuse(w, r, e)
			if !bytes.Equal(no.Problem(), w.Body.Bytes()) || len(no.Problem()) == 0 {
				t.Errorf("%q: got %s, want %s", reason, no.Problem(), w.Body)
			}
			want := reason
			if reason == foreign {
				want = ErrTokenInvalid
			}
			if no.Reason != want {
				t.Errorf("%q: got reason %q, want %q", reason, no.Reason, want)
			}
			for _, lines := range got { // they are nobody else's
				clear(lines)
			}
			if again := no.Header(); !maps.EqualFunc(again, plain.Refusal(r, e).Header(), slices.Equal) ||
				slices.Contains(again["Www-Authenticate"], "") {
				t.Errorf("%q: got %v after a change of an earlier header", reason, again)
			}
		}
	}
}
