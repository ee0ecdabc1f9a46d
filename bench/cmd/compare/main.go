// Compare measures popauth beside other libraries. It prints the results and writes docs/performance.md, its chart,
// docs/scale.md and the figures, bench/results.json. -only doesn't write docs/scale.md, -from not the figures, and -short
// nothing. A wrong answer or too many allocations are errors; a slow time is not.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"

	"github.com/seed-171ab058/popauth/bench/load"
	"github.com/seed-171ab058/popauth/bench/report"
	"github.com/seed-171ab058/popauth/bench/simulation"
)

func main() {
	load.Child()
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	short := flags.Bool("short", false, "take seconds, and write no files unless -out is given")
	cycles := flags.Int("cycles", 0, "`number` of times that each batch is measured; 1000, or 50 with -short, and at most 200 for "+
		"-only hostile")
	folder := flags.String("out", "", "`folder` of the documents and the chart; ../docs, or none with -short")
	results := flags.String("results", "results.json", "`file` of the figures")
	only := flags.String("only", "", "`part` to measure anew, the rest being as in -results: hostile")
	rows := flags.String("rows", "", "with -only hostile, the `expression` that names of rows have to match; all if empty")
	from := flags.String("from", "", "`file` of figures to write the document from, instead of measuring")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o := report.Options{Cycles: *cycles, Short: *short, Log: progress}
	if *rows != "" {
		names, err := regexp.Compile(*rows)
		if err != nil || *only == "" {
			return fmt.Errorf("-rows %q goes with -only, and is a regular expression: %w", *rows, err)
		}
		o.Rows = names
	}
	if o.Cycles == 0 {
		o.Cycles = map[bool]int{false: 1000, true: 50}[*short]
	}
	if *folder == "" && !*short {
		*folder = "../docs"
	}
	var r *report.Results
	var err error
	switch {
	case *only != "" && *only != "hostile":
		return fmt.Errorf("-only %s: want hostile", *only)
	case *only != "" && *from != "":
		return errors.New("-only and -from: want one of them")
	case *only != "":
		if r, err = report.Read(*results); err == nil {
			err = r.MeasureHostile(o)
		}
	case *from != "":
		r, err = report.Read(*from)
	default:
		r, err = report.Measure(context.Background(), o)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(r.Document(out), r.Excess()); err != nil || *folder == "" {
		return err
	}
	if *from == "" {
		if err := r.Write(*results); err != nil {
			return err
		}
	}
	return write(r, *folder, *only == "")
}

// write makes the files of the documentation; scale.md, which says nothing of strangers, where it is asked to.
func write(r *report.Results, folder string, withScale bool) error {
	files := map[string]func(io.Writer) error{"performance.md": r.Document, "performance.svg": r.Chart}
	if withScale {
		scale, err := simulation.Play(simulation.Defaults(), r)
		if err != nil {
			return err
		}
		files["scale.md"] = scale.Document
	}
	for name, content := range files {
		var b bytes.Buffer
		if err := content(&b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), b.Bytes(), 0o644); err != nil { //nolint:gosec // everybody may read it
			return err
		}
	}
	return nil
}
