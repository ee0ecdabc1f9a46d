//go:build unix

// Soak runs an API behind nginx, with Redis and an issuer, under a load of owners and thieves, and breaks one part after
// the other. It prints the answers to owners and thieves and the memory of the processes, and exits with status 1 if an
// answer was wrong.
//
//	go run ./cmd/soak -for 2m
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
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-171ab058/popauth/bench/soak"
)

func main() {
	soak.Child()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o := soak.Options{Log: progress}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.DurationVar(&o.For, "for", 10*time.Minute, "how `long`")
	flags.DurationVar(&o.Every, "every", 0, "`time` from one fault to the next; 30s, or less in a short run, so that each has its turn")
	flags.IntVar(&o.Rate, "rate", 200, "`requests` a second")
	only := flags.String("faults", "", "`names` of faults, with | between two; all if empty: "+strings.Join(soak.Faults(), "|"))
	name := flags.String("write", "", "`file` to write as a page, such as ../docs/soak.md; none if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *only != "" {
		o.Faults = strings.Split(*only, "|")
	}
	r, err := soak.Run(ctx, o)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := r.Document(&b); err != nil {
		return err
	}
	if _, err := out.Write(b.Bytes()); err != nil {
		return err
	}
	if *name != "" {
		if err := os.WriteFile(*name, b.Bytes(), 0o644); err != nil { //nolint:gosec // everybody may read it
			return err
		}
	}
	_, _ = fmt.Fprintf(out, "\n%s\n", r.Verdict()) // the last line says it once more
	if n := r.Wrong(); n > 0 {
		return fmt.Errorf("%d wrong answers", n)
	}
	return nil
}
