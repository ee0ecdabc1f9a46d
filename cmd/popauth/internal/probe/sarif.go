package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
)

// The objects of SARIF 2.1.0 that a report needs.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID            string          `json:"id"`
		Short         sarifText       `json:"shortDescription"`
		Full          sarifText       `json:"fullDescription"`
		HelpURI       string          `json:"helpUri"`
		Configuration sarifLevel      `json:"defaultConfiguration"`
		Properties    sarifProperties `json:"properties"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifProperties struct {
		Tags     []string `json:"tags"`
		Severity string   `json:"security-severity"` // GitHub reads it: 9.0 and more is critical
	}
	sarifInvocation struct {
		Successful bool   `json:"executionSuccessful"`
		Start      string `json:"startTimeUtc"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Kind         string            `json:"kind"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
)

var (
	levels   = map[Severity]string{Info: "note", Low: "note", Medium: "warning", High: "error", Critical: "error"}
	security = map[Severity]string{Info: "0.0", Low: "3.0", Medium: "5.5", High: "8.0", Critical: "9.5"}
)

const documentation = "https://github.com/seed-171ab058/popauth/blob/main/docs/command.md#popauth-probe"

// SARIF writes a report for code scanning: the findings, and what is unclear as open.
func (r *Report) SARIF(w io.Writer) error {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: "popauth probe", InformationURI: documentation}},
		Invocations: []sarifInvocation{{Successful: true, Start: r.Began.Format("2006-01-02T15:04:05Z")}},
		Results:     []sarifResult{},
	}
	for i, x := range r.Results {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: x.Name, Short: sarifText{x.Title}, Full: sarifText{x.Section + ": sent: " + x.Title + ". A right API: " + x.Want},
			HelpURI:       documentation,
			Configuration: sarifLevel{levels[x.Severity]}, Properties: sarifProperties{[]string{"security", x.Topic}, security[x.Severity]},
		})
		kind, level := "fail", levels[x.Severity]
		switch x.State {
		case Found:
		case Unclear:
			kind, level = "open", "none"
		default:
			continue
		}
		sum := sha256.Sum256([]byte(r.URL + " " + x.Name))
		run.Results = append(run.Results, sarifResult{
			RuleID: x.Name, RuleIndex: i, Kind: kind, Level: level,
			Message:      sarifText{x.Title + ": " + shown(x.Detail) + ". Want: " + x.Want},
			Locations:    []sarifLocation{{sarifPhysical{sarifArtifact{r.URL}}}},
			Fingerprints: map[string]string{"probe/v1": hex.EncodeToString(sum[:])},
		})
	}
	return indented(w, sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run},
	})
}

// JSON writes a report for programs.
func (r *Report) JSON(w io.Writer) error { return indented(w, r) }

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
