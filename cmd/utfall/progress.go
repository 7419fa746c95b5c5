package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"utfall/study"
)

// progress returns a reporter that keeps one line on a terminal up to date, and says
// nothing when stderr is piped.
func (a *app) progress() func(study.Progress) {
	f, ok := a.err.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	b := &bar{w: f, started: time.Now()}
	return b.show
}

// bar is a progress line: stage, share done, and how long the stage will take.
type bar struct {
	w       io.Writer
	stage   string
	started time.Time
	drawn   time.Time
}

func (b *bar) show(p study.Progress) {
	now := time.Now()
	if p.Stage != b.stage {
		b.stage, b.started = p.Stage, now
	} else if p.Done < p.Total && now.Sub(b.drawn) < 100*time.Millisecond {
		return
	}
	b.drawn = now
	if p.Total > 0 && p.Done >= p.Total {
		fmt.Fprintf(b.w, "\r\033[K")
		return
	}
	const width = 24
	done := 0
	if p.Total > 0 {
		done = width * p.Done / p.Total
	}
	eta := ""
	if spent := now.Sub(b.started); p.Done > 0 && spent > 2*time.Second {
		left := time.Duration(float64(spent) * float64(p.Total-p.Done) / float64(p.Done))
		eta = " " + left.Round(time.Second).String()
	}
	fmt.Fprintf(b.w, "\r\033[K%-9s %s%s %s%s", p.Stage, strings.Repeat("█", done), strings.Repeat("·", width-done), p.Item, eta)
}
