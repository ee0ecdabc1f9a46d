//go:build !unix

package main

import (
	"context"
	"errors"
)

// process is a command of Keycloak's, which this example can start on Unix alone.
type process struct{ wrote tail }

func (w *world) command(string, ...string) *process { return &process{} }

func (*process) run(context.Context) error                 { return errUnix }
func (*process) start() error                              { return errUnix }
func (*process) await(context.Context, func() error) error { return errUnix }
func (*process) stop()                                     {}

var errUnix = errors.New("this example runs on Linux and macOS; on Windows run it in WSL")
