package probe

import (
	"encoding/xml"
	"fmt"
	"io"
)

// The elements of JUnit's report, as Jenkins and GitLab read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Time     string       `xml:"time,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string       `xml:"name,attr"`
		Class   string       `xml:"classname,attr"`
		Failure *junitResult `xml:"failure"`
		Error   *junitResult `xml:"error"`
		Skipped *junitResult `xml:"skipped"`
	}
	junitResult struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes a report in which each check is a test case: a finding of the severity, or of a worse one, is a failure, and what is
// unclear an error.
func (r *Report) JUnit(w io.Writer, from Severity) error {
	all := junitSuites{Name: "popauth probe", Time: fmt.Sprintf("%.3f", r.Seconds)}
	for _, x := range r.Results {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != x.Topic {
			all.Suites = append(all.Suites, junitSuite{Name: x.Topic, Timestamp: r.Began.Format("2006-01-02T15:04:05")})
		}
		suite := &all.Suites[len(all.Suites)-1]
		one := junitCase{Name: x.Name, Class: x.Section}
		result := &junitResult{Type: x.Severity.String(), Message: shown(x.Detail), Text: "sent: " + x.Title + "\nwant: " + x.Want}
		suite.Tests++
		switch {
		case x.State == Found && x.Severity >= from:
			one.Failure = result
			suite.Failures++
		case x.State == Unclear && x.Severity >= from:
			one.Error = result
			suite.Errors++
		case x.State != Passed:
			one.Skipped = result
			suite.Skipped++
		}
		suite.Cases = append(suite.Cases, one)
	}
	for _, s := range all.Suites {
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
