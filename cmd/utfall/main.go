// Command utfall evaluates coordinated rehabilitation: it takes participant records
// to matched cohorts, effects, figures and a report that discloses no person, and
// lets an inspector reproduce every number.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code) // the only os.Exit in the module
}
