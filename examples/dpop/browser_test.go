package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	devlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium returns a context for one tab of a browser that was started for the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no chromium")
		}
		t.Skip("no chromium")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // root and containers can't have one; the only page is ours
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(time.Minute),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, shut := chromedp.NewContext(ctx)
	t.Cleanup(shut)
	return ctx
}

// complaints are what the browser's console shows, and what its policies have stopped.
type complaints struct {
	mu      sync.Mutex
	refused []string // addresses answered with 401, which the console counts as errors
	other   []string
}

func (c *complaints) listen(ctx context.Context) error {
	return chromedp.Listen(ctx, func(event any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			c.other = append(c.other, "console."+string(e.Type))
		case *runtime.EventExceptionThrown:
			text := e.ExceptionDetails.Text
			if x := e.ExceptionDetails.Exception; x != nil {
				text += " " + x.Description
			}
			c.other = append(c.other, text)
		case *devlog.EventEntryAdded:
			if e.Entry.Source == devlog.EntrySourceNetwork && strings.Contains(e.Entry.Text, "status of 401") {
				c.refused = append(c.refused, e.Entry.URL)
				return
			}
			c.other = append(c.other, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		case *audits.EventIssueAdded:
			c.other = append(c.other, "issue: "+string(e.Issue.Code))
		}
	})
}

func (c *complaints) take() (refused, other []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refused, other = c.refused, c.other
	c.refused, c.other = nil, nil
	return refused, other
}

// tableRow is a row as a person reads it.
type tableRow struct {
	Step   string `json:"step"`
	Sent   string `json:"sent"`
	Status string `json:"status"`
	Said   string `json:"said"`
}

const readRows = `[...document.querySelectorAll('tbody tr')].map((r) => {
	const [step, sent, status, said] = [...r.cells].map((c) => [...c.children].map((e) => e.textContent).join('\n') || c.textContent);
	return {step, sent, status, said};
})`

func TestPage(t *testing.T) {
	w := start(t, t.Output())
	ctx := chromium(t)
	var c complaints
	if err := c.listen(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, audits.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	rows := act(ctx, t, chromedp.Navigate(w.page+"/"))
	orders := regexp.QuoteMeta(w.api + "/orders")
	checkRows(t, rows, []tableRow{
		{"^1 Make a key, and try to export it$", `exportKey\('jwk', privateKey\)`, "^refused$",
			`^InvalidAccessError: .*\nThumbprint: [\w-]{43}$`},
		{"^2 Get a token$", regexp.QuoteMeta(w.login) + `/token\nDPoP: .*, no nonce\n`, "^200$",
			`^token_type DPoP, bound to this page’s key\ncnf\.jkt: [\w-]{43}$`},
		{"^3 Call the API, no nonce yet$", orders + `\nAuthorization: DPoP .*\nDPoP: .*, no nonce\n`, "^401$",
			`^use_dpop_nonce\nWWW-Authenticate: (?s:.*)\nDPoP-Nonce: \S+$`},
		{"^3 Call the API$", orders + `\nAuthorization: DPoP .*\nDPoP: .*, with nonce\n`, "^200$", `^2 orders for alice\s*$`},
		{"^4 A thief sends the same proof again$", orders + `\nAuthorization: DPoP .*\nDPoP: .*, with nonce\n`, "^401$",
			`^invalid_dpop_proof\nWWW-Authenticate: .*DPoP error="invalid_dpop_proof"`},
		{"^5 A thief sends the token as Bearer$", orders + `\nAuthorization: Bearer .*$`, "^401$",
			`^invalid_token\nWWW-Authenticate: .*Bearer error="invalid_token"`},
		{"^5 A thief signs with another key$", orders + `\nAuthorization: DPoP .*\nDPoP: .*, with nonce\n`, "^401$",
			`^invalid_token\nWWW-Authenticate: .*DPoP error="invalid_token"`},
	})
	if len(rows) == 7 {
		if proof := strings.Split(rows[3].Sent, "\n")[2]; !strings.Contains(rows[4].Sent, proof) {
			t.Errorf("the call was accepted with %q, but the one that was sent again is\n%s", proof, rows[4].Sent)
		}
		if _, jkt, _ := strings.Cut(rows[1].Said, "jkt: "); jkt == "" || !strings.HasSuffix(rows[0].Said, jkt) {
			t.Errorf("key %q, token bound to %q", rows[0].Said, jkt)
		}
	}
	refused, other := c.take()
	if want := slices.Repeat([]string{w.api + "/orders"}, 4); !slices.Equal(refused, want) {
		t.Errorf("answered with 401: %q, want %q", refused, want)
	}
	if len(other) > 0 {
		t.Errorf("the console complains: %q", other)
	}

	// A new key leaves the old token without a holder, until there is a new one.
	for _, click := range []struct{ step, status, said string }{
		{"1", "refused", "InvalidAccessError"},
		{"3", "401", "invalid_token"},
		{"2", "200", "bound to this page’s key"},
		{"3", "200", "2 orders for alice"},
	} {
		rows := act(ctx, t, chromedp.Click(`button[data-run="`+click.step+`"]`))
		i := slices.IndexFunc(rows, func(r tableRow) bool { return strings.HasPrefix(r.Step, click.step) })
		if i < 0 || rows[i].Status != click.status || !strings.Contains(rows[i].Said, click.said) {
			t.Errorf("step %s: want %s %q, got %+v", click.step, click.status, click.said, rows)
		}
	}
	if _, other := c.take(); len(other) > 0 {
		t.Errorf("the console complains: %q", other)
	}

	// The policy is in force, and its violations would have been seen.
	ran, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(async () => {
		const style = document.createElement('style');
		style.textContent = 'body { color: red }';
		document.head.append(style);
		await new Promise((done) => setTimeout(done, 200));
		return style.sheet !== null;
	})()`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	if _, other := c.take(); ran || len(other) == 0 {
		t.Errorf("an inline style took effect: %v, complaints %q", ran, other)
	}
}

// act does something with the page, waits until the page has done its part, and returns the table.
func act(ctx context.Context, t *testing.T, action chromedp.Action[chromedp.Void]) []tableRow {
	t.Helper()
	if err := chromedp.Do(ctx, action, chromedp.WaitReady(`body[data-state="done"]`)); err != nil {
		t.Fatal(err)
	}
	rows, err := chromedp.Run(ctx, chromedp.Evaluate[[]tableRow](readRows))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// checkRows takes each field of want for a regular expression.
func checkRows(t *testing.T, got, want []tableRow) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d: %+v", len(got), len(want), got)
	}
	for i, g := range got {
		for _, f := range [][2]string{{g.Step, want[i].Step}, {g.Sent, want[i].Sent}, {g.Status, want[i].Status}, {g.Said, want[i].Said}} {
			if !regexp.MustCompile(f[1]).MatchString(f[0]) {
				t.Errorf("row %d: got %q, want %q", i+1, f[0], f[1])
			}
		}
	}
}
