//go:build unix

package soak

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A thief who is answered is wrong, and so is a handler that ran for one who was told otherwise; but not in a row that
// says that he may.
func TestThievesLetIn(t *testing.T) {
	for _, test := range []struct {
		name    string
		status  int
		known   bool
		reached int // as the processes say
		want    int
	}{
		{name: "refused", status: 401, want: 0},
		{name: "no answer", status: 0, want: 0},
		{name: "answered", status: 200, reached: 1, want: 1},
		{name: "answered, and sent elsewhere", status: 302, want: 1},
		{name: "told 502 after the handler ran", status: 502, reached: 1, want: 1},
		{name: "no answer, but the handler ran twice", status: 0, reached: 2, want: 2},
		{name: "may", status: 200, known: true, reached: 1, want: 0},
	} {
		s := &soak{record: newRecorder()}
		s.record.thief(result{kind: "thief", status: test.status}, test.known, false, 0)
		s.compare(map[string]int{"thief": test.reached, "owner": 7})
		if got := s.record.wrongs; got != test.want {
			t.Errorf("%s: got %d wrong answers, want %d", test.name, got, test.want)
		}
	}
}

// An owner is held against everything that the handler says of him.
func TestOwnerAsAnother(t *testing.T) {
	o := &owner{kind: certificateJWT, registration: registration{name: "alice"}, binding: "thumbprint", http: http.DefaultClient}
	right := o.identity()
	for name, edit := range map[string]func(*identity){
		"himself":              func(*identity) {},
		"another client":       func(i *identity) { i.Client = "bob" },
		"another subject":      func(i *identity) { i.Subject = "sub-bob" },
		"another's key":        func(i *identity) { i.Binding = "other" },
		"another's body":       func(i *identity) { i.Body = 1 },
		"nobody in particular": func(i *identity) { *i = identity{} },
	} {
		said := right
		edit(&said)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(said)
		}))
		record := newRecorder()
		record.begin(quiet)
		o.ask(server.URL, record)
		server.Close()
		want := 1
		if said == right {
			want = 0
		}
		if record.wrongs != want {
			t.Errorf("%s: got %d wrong answers, want %d", name, record.wrongs, want)
		}
	}
}

// A refusal counts for the fault that it was met by, and is as expected only with the kind, the status, the reason, the
// process and the time that the fault explains.
func TestUnexpected(t *testing.T) {
	down := fault{name: "down", expected: []expectation{
		{kinds: "proof", status: 503, reason: unavailable, on: "b", tail: time.Second},
		{status: 502, reason: "nginx", within: 2 * time.Second},
	}}
	fine := result{kind: proofJWT, status: 503, reason: unavailable, instance: "b"}
	for _, test := range []struct {
		name string
		edit func(*result)
		at   time.Duration // from the beginning of the fault, which lasts ten seconds
		want []string
	}{
		{name: "explained", at: 10500 * time.Millisecond},
		{name: "under way when it began", at: -500 * time.Millisecond},
		{name: "long before", at: -5 * time.Second, want: []string{"nothing"}},
		{name: "too late", at: 12 * time.Second, want: []string{"down"}},
		{name: "another kind", edit: func(r *result) { r.kind = certificateJWT }, want: []string{"down"}},
		{name: "another status", edit: func(r *result) { r.status = 401 }, want: []string{"down"}},
		{name: "another reason", edit: func(r *result) { r.reason = usedBefore }, want: []string{"down"}},
		{name: "another process", edit: func(r *result) { r.instance = "a" }, want: []string{"down"}},
		{name: "nginx at first", edit: func(r *result) { r.status, r.reason, r.instance = 502, "nginx", "" }, at: time.Second},
		{
			name: "nginx later", edit: func(r *result) { r.status, r.reason, r.instance = 502, "nginx", "" }, at: 3 * time.Second,
			want: []string{"down"},
		},
	} {
		c := newRecorder()
		before, during := c.begin(quiet), c.begin(down)
		during.over = during.began.Add(10 * time.Second)
		before.began, before.over = during.began.Add(-20*time.Second), during.began.Add(-10*time.Second)
		r := fine
		if test.edit != nil {
			test.edit(&r)
		}
		r.at, r.took = during.began.Add(test.at), time.Second
		c.owner(r)
		var got []string
		for _, s := range c.slots {
			for _, row := range s.rows() {
				if !row.expected {
					got = append(got, s.fault.name)
				}
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got unexpected refusals in %q, want %q", test.name, got, test.want)
		}
	}
}

func TestClock(t *testing.T) {
	c := &clock{}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	before := c.Now()
	c.set(-time.Hour)
	after := c.Now()
	if d := after.Sub(before); d < 0 || d > time.Minute {
		t.Errorf("monotonic clock: moved by %v, want it to go on", d)
	}
	if d := after.Round(0).Sub(before.Round(0)); d > -59*time.Minute {
		t.Errorf("wall clock: moved by %v, want an hour back", d)
	}
}

// Nothing that was started goes on after the group's end, stopped or not.
func TestGroup(t *testing.T) {
	g, err := newGroup()
	if err != nil {
		t.Fatal(err)
	}
	var all []*process
	for range 2 {
		p, err := g.start(exec.Command("sleep", "600"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if err := all[0].signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	g.close()
	for _, p := range all {
		select {
		case <-p.ended:
		default:
			t.Errorf("process %d goes on", p.pid())
		}
	}
}

// What a process holds too much of is named.
func TestGrown(t *testing.T) {
	start := health{rss: 20 << 20, heap: 1 << 20, goroutines: 10, files: 20}
	for _, test := range []struct {
		name string
		edit func(*health)
		want []string
	}{
		{name: "the same", edit: func(*health) {}},
		{name: "goroutines", edit: func(h *health) { h.goroutines += 100 }, want: []string{"goroutines"}},
		{name: "files", edit: func(h *health) { h.files += 100 }, want: []string{"file descriptors"}},
		{name: "heap", edit: func(h *health) { h.heap += 65 << 20 }, want: []string{"heap"}},
		{name: "RSS", edit: func(h *health) { h.rss += 129 << 20 }, want: []string{"RSS"}},
	} {
		end := start
		test.edit(&end)
		if got := end.grown(start); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// An issuer that is closed is out of reach, and the same one afterwards.
func TestIssuerModes(t *testing.T) {
	program := &bench.Program{}
	defer program.Close()
	authority := popauthtest.NewCA(program)
	i, err := newIssuer(program, authority)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: (&world{servers: authority}).transport(nil), Timeout: 300 * time.Millisecond}
	status := func() int {
		client.CloseIdleConnections()
		r, err := client.Get(i.JWKSURL())
		if err != nil {
			return 0
		}
		defer func() { _ = r.Body.Close() }()
		return r.StatusCode
	}
	for _, step := range []struct {
		name string
		do   func()
		want int
	}{
		{name: "well", do: func() {}, want: 200},
		{name: "limited", do: func() { i.set(limited) }, want: 429},
		{name: "hanging", do: func() { i.set(hanging) }, want: 0},
		{name: "well again", do: func() { i.set(well) }, want: 200},
		{name: "down", do: i.close, want: 0},
		{name: "up", do: func() {
			if err := i.open(); err != nil {
				t.Fatal(err)
			}
		}, want: 200},
	} {
		step.do()
		if got := status(); got != step.want {
			t.Errorf("%s: got status %d, want %d", step.name, got, step.want)
		}
	}
	i.close()
}
