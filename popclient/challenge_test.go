package popclient_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popclient"
)

func TestWantsNonce(t *testing.T) {
	for _, test := range []struct {
		lines string // separated by line breaks
		want  bool
	}{
		{`DPoP error="use_dpop_nonce"`, true},
		{`DPoP error=use_dpop_nonce`, true},
		{`dpop ERROR="use_dpop_nonce"`, true},
		{`DPOP error = "use_dpop_nonce"`, true},
		{"DPoP error\t=\t\"use_dpop_nonce\"", true},
		{`DPoP   error="use_dpop_nonce"`, true},
		{`DPoP error="use\_dpop\_nonce"`, true},
		{`DPoP error="use_dpop_nonce", error_description="Authorization server requires nonce in DPoP proof"`, true},
		{`DPoP algs="ES256 PS256", realm="a, b", error="use_dpop_nonce"`, true},
		{`DPoP realm="\"", error="use_dpop_nonce"`, true},
		{`DPoP realm="", error="use_dpop_nonce"`, true},
		{`, ,DPoP error="use_dpop_nonce" , ,`, true},
		{`DPoP , error="use_dpop_nonce"`, true},
		{`Bearer, DPoP error="use_dpop_nonce"`, true},
		{`Bearer error="invalid_token", DPoP algs="ES256", error="use_dpop_nonce"`, true},
		{`DPoP algs=ES256, error="use_dpop_nonce", Bearer error="invalid_token"`, true},
		{`Basic dGVzdA==, DPoP error="use_dpop_nonce"`, true},
		{`Negotiate a/b+c~, DPoP error="use_dpop_nonce"`, true},
		{"Bearer\nDPoP error=\"use_dpop_nonce\"", true},
		{"Bearer x=\"\nDPoP error=\"use_dpop_nonce\"", true},
		{`DPoP error="use_dpop_nonce", algs=ES256 ES384`, true},

		{"Bearer\t,\tDPoP error=\"use_dpop_nonce\"", true},

		// Without commas, as some gateways write them.
		{`DPoP scope="" error="use_dpop_nonce" error_description="no nonce"`, true},
		{"DPoP algs=\"ES256\"\terror=use_dpop_nonce", true},
		{`DPoP a=b error="use_dpop_nonce", Bearer error="invalid_token"`, true},
		{`DPoP error="invalid_token" error="use_dpop_nonce"`, false},
		{`Bearer a=b error="use_dpop_nonce"`, false},
		{`Bearer a=b DPoP error="use_dpop_nonce"`, false},
		{`DPoP a="b"error="use_dpop_nonce"`, false},
		{`DPoP a="b" c error="use_dpop_nonce"`, false},

		{``, false}, {`,`, false}, {`DPoP`, false}, {`DPoP `, false}, {`=`, false}, {`"`, false},
		{`error="use_dpop_nonce"`, false},
		{`DPoP use_dpop_nonce`, false},
		{`DPoP error="USE_DPOP_NONCE"`, false},
		{`DPoP error=" use_dpop_nonce"`, false},
		{`DPoP error="invalid_token"`, false},
		{`DPoP error="invalid_token", error="use_dpop_nonce"`, false},
		{`DPoP error_description="use_dpop_nonce"`, false},
		{`DPoP xerror="use_dpop_nonce"`, false},
		{`DPoPX error="use_dpop_nonce"`, false},
		{`DPoP="x", error="use_dpop_nonce"`, false},
		{`DPoP/abc, error="use_dpop_nonce"`, false},
		{"DPoP\terror=\"use_dpop_nonce\"", false},
		{`Bearer error="use_dpop_nonce"`, false},
		{`Bearer error="use_dpop_nonce", DPoP`, false},
		{`DPoP algs="ES256", Bearer error="use_dpop_nonce"`, false},
		{`DPoP dGVzdA==, Bearer error="use_dpop_nonce"`, false},
		{`Bearer realm="x, DPoP error=\"use_dpop_nonce\""`, false},
		{`Bearer realm="DPoP error=", error="use_dpop_nonce"`, false},
		{`DPoP error_description="say error=\"use_dpop_nonce\""`, false},
		{`DPoP realm=", error=use_dpop_nonce"`, false},
		{`Bearer x="a, DPoP error="use_dpop_nonce"`, false},
		{`Bearer a=b c, DPoP error="use_dpop_nonce"`, false},
		{`Bearer (, DPoP error="use_dpop_nonce"`, false},
		{`Bearer a b, DPoP error="use_dpop_nonce"`, false},
		{`DPoP error="use_dpop_nonce`, false},
		{`DPoP error="use_dpop_nonce\`, false},
		{`DPoP error=`, false},
		{"Bearer\nerror=\"use_dpop_nonce\"", false},
	} {
		if got := popclient.WantsNonce(strings.Split(test.lines, "\n")); got != test.want {
			t.Errorf("%q: got %v, want %v", test.lines, got, test.want)
		}
	}
}

// A server may send megabytes of challenges. Of all lines together a bounded part is read, and nothing of it is kept. What
// the bound cuts in two says nothing.
func TestChallengesAreBounded(t *testing.T) {
	const wanted = `DPoP error="use_dpop_nonce"`
	much := strings.Repeat("a,", 4<<20)
	fill := func(n int) string { return strings.Repeat("a,", n/2) + strings.Repeat(" ", n%2) }
	const bound = 16 << 10
	for name, test := range map[string]struct {
		lines []string
		want  bool
	}{
		"before much":        {[]string{wanted + "," + much}, true},
		"on a line before":   {[]string{wanted, much}, true},
		"behind much":        {[]string{much + wanted}, false},
		"on a line behind":   {[]string{much, wanted}, false},
		"behind parameters":  {[]string{"Bearer " + strings.Repeat("a=b,", 2<<20) + wanted}, false},
		"behind a value":     {[]string{`Bearer a="` + strings.Repeat("b", 8<<20) + `", ` + wanted}, false},
		"behind no commas":   {[]string{"Bearer " + strings.Repeat("a=b ", 2<<20) + ", " + wanted}, false},
		"behind many":        {append(strings.Split(strings.Repeat("a ", 8<<10), " "), fill(9<<10)+wanted), false},
		"just before":        {[]string{fill(bound-len(wanted)-2) + wanted + ",", much}, true},
		"cut in its value":   {[]string{fill(bound-len("DPoP error=use_dpop_nonce")) + "DPoP error=use_dpop_noncexxx"}, false},
		"cut in a quotation": {[]string{fill(bound-len(wanted)-20) + `Bearer realm=", ` + wanted + strings.Repeat(" ", 100) + `"`}, false},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := popclient.WantsNonce(test.lines)
		runtime.ReadMemStats(&after)
		if got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > 4*bound {
			t.Errorf("VULNERABLE: %s: %d bytes were allocated, want %d at most", name, made, 4*bound)
		}
	}
}

// FuzzChallenges: nothing inside quotes is taken for a challenge, nothing behind a challenge changes what it said, and
// what is found is there.
func FuzzChallenges(f *testing.F) {
	for _, s := range []string{
		`DPoP error="use_dpop_nonce"`, `Bearer a="\"", DPoP x=y`, `", DPoP error="use_dpop_nonce`, `Basic YQ==,`, `\`, `=,"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if found := popclient.WantsNonce([]string{s}); found && !strings.Contains(strings.ToLower(s), "dpop") {
			t.Errorf("found in %q", s)
		}
		quoted := `Bearer realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		if popclient.WantsNonce([]string{quoted}) {
			t.Errorf("found inside quotes: %s", quoted)
		}
		if line := quoted + `, DPoP error="use_dpop_nonce", ` + s; !popclient.WantsNonce([]string{line}) {
			t.Errorf("not found in %s", line)
		}
	})
}
