// Simulate simulates the load of many instances of an API on what they share, prints the results and writes
// docs/scale.md. It takes the cost of a request from the figures of compare.
package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log"
	"os"

	"github.com/seed-171ab058/popauth/bench/report"
	"github.com/seed-171ab058/popauth/bench/simulation"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(args []string, out io.Writer) error {
	fleet := simulation.Defaults()
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.IntVar(&fleet.Instances, "instances", fleet.Instances, "`number` of instances")
	flags.Uint64Var(&fleet.Seed, "seed", fleet.Seed, "`number` that decides what is drawn at random")
	results := flags.String("results", "results.json", "`file` of the figures that compare has written")
	name := flags.String("out", "../docs/scale.md", "`file` to write; none if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if fleet.Instances < 1 {
		return errors.New("-instances: less than one")
	}
	measured, err := report.Read(*results)
	if err != nil {
		return err
	}
	scale, err := simulation.Play(fleet, measured)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := scale.Document(&b); err != nil {
		return err
	}
	if _, err := out.Write(b.Bytes()); err != nil || *name == "" {
		return err
	}
	return os.WriteFile(*name, b.Bytes(), 0o644) //nolint:gosec // everybody may read it
}
