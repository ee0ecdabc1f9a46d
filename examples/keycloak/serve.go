package main

import "context"

func (w *world) wait(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
