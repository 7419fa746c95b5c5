package main

import (
	"context"
	"io"
	"slices"
)

// noFileReader is a method that, for some of its options, takes its numbers from the
// command line.
type noFileReader interface{ needsNoFile() bool }

// filesReader is a method that reads several files.
type filesReader interface {
	readFiles(ctx context.Context, c *fitCommon, workers int) (*fitData, error)
}

// pipeReader is a method that can take the answer of another method on standard input.
type pipeReader interface{ setInput(in io.Reader) }

// readMethodData reads what the method needs: one file, unless it says otherwise.
func readMethodData(ctx context.Context, c *fitCommon, m fitMethod, workers int) (*fitData, error) {
	if r, ok := m.(noFileReader); ok && r.needsNoFile() {
		return &fitData{file: "command line", level: c.level, workers: workers}, nil
	}
	if r, ok := m.(filesReader); ok {
		return r.readFiles(ctx, c, workers)
	}
	return readFitData(ctx, c, m.columns(), workers)
}

// neededFlags takes --data off the flags that must be given where no file is read.
func neededFlags(f *flagSet, m fitMethod) {
	if r, ok := m.(noFileReader); ok && r.needsNoFile() {
		f.needed = slices.DeleteFunc(f.needed, func(n string) bool { return n == "data" })
	}
}
