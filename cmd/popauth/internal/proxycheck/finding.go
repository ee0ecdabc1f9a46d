// Package proxycheck reads the configuration of a proxy in front of an API, and finds what lets a client's own certificate header
// through, or keeps an owner's certificate from the API. It goes by what each program does with its configuration, and runs none.
package proxycheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Code names a finding.
type Code string

// The findings.
const (
	NotSet        Code = "header-not-set"        // a client's own header reaches the API
	NotInherited  Code = "headers-not-inherited" // the same, by a setting that takes another one's away
	ClientValue   Code = "client-value"          // the proxy copies what a client has sent
	WrongValue    Code = "wrong-value"           // the API can't read the header, or reads something else
	Appended      Code = "appended"              // the client's own line stays in front of the proxy's
	SetTwice      Code = "set-twice"             // two lines, of which the API refuses one
	RemovedAgain  Code = "removed-again"         // what was set is taken away after that
	Unknown       Code = "unknown-value"         // what is in the header can't be told from these files
	NoSecret      Code = "secret-not-set"        // the API knows the proxy by a header that isn't set
	NoCertificate Code = "no-client-certificate" // clients are asked for none
	Plain         Code = "plain-http"            // tokens are sent in the clear, without a certificate
	Override      Code = "method-override"       // frameworks take another method or path from a client's header
	Underscores   Code = "underscores"           // X_Name is X-Name to CGI and its heirs
	Spellings     Code = "odd-spellings"         // so are X.Name and X~Name
	Repeated      Code = "repeated"              // a request is sent twice, with a proof that is good once
	EarlyData     Code = "early-data"            // anybody may send a request again that came in early data
	Credentials   Code = "credentials-removed"   // Authorization or DPoP don't reach the API
	OpaqueTarget  Code = "opaque-target"         // a target without path is sent on as another
	Names         Code = "unquoted-names"        // text of the client's own certificate breaks the header
	OptionsUnused Code = "tls-options-unused"    // the settings that ask for a certificate are ignored
	Unread        Code = "unread"                // something that counts isn't in these files
	NoUpstream    Code = "no-upstream"           // nothing here leads to an API
)

// Finding is one, and where it is.
type Finding struct {
	Code  Code
	Where string // line, or path of names
	Text  string // what follows from it
	Fix   string // what to write
}

// Expect is what the API reads, from the options that the configuration was written for.
type Expect struct {
	Certificate string   // the header with the certificate
	Verdict     string   // that of the verdict; "" if the API reads none
	Others      []string // further ones that a client must not be able to send
	Secret      string   // that of the secret; "" if there is none
}

// names are all that a client must not be able to send.
func (e Expect) names() []string {
	all := append([]string{e.Certificate}, e.Others...)
	for _, name := range []string{e.Verdict, e.Secret} {
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// overrides are headers that frameworks take for the method or the path.
var overrides = []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"}

const overridesText = "a client's own reach the API, and frameworks take them for the method or the path: %s"

// separators are what CGI and its heirs take for a hyphen: the characters of a token (RFC 9110, section 5.6.2) but letters, digits and
// the hyphen.
const separators = "_.~!#$%&'+^|`*"

// spelled are the spellings of a name by one other separator.
func spelled(name string) []string {
	var all []string
	for _, c := range separators {
		all = append(all, strings.ReplaceAll(name, "-", string(c)))
	}
	return all
}

// maxFindings bounds a report: a file of a thousand mistakes is not read to its end by anybody.
const maxFindings = 1000

// report collects findings, each once a place.
type report struct{ findings []Finding }

func (r *report) full() bool { return len(r.findings) >= maxFindings }

func (r *report) add(code Code, where, fix, text string, args ...any) {
	f := Finding{Code: code, Where: where, Text: fmt.Sprintf(text, args...), Fix: fix}
	if !r.full() && !slices.Contains(r.findings, f) {
		r.findings = append(r.findings, f)
	}
}

// sorted are the findings in the order of their places.
func (r *report) sorted() []Finding {
	slices.SortStableFunc(r.findings, func(a, b Finding) int { return cmp.Compare(a.Where, b.Where) })
	return r.findings
}
