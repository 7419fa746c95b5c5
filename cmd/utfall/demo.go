package main

import (
	"errors"

	"github.com/spf13/cobra"

	"utfall/ingest/synthetic"
	"utfall/study"
)

func (a *app) demoCmd() *cobra.Command {
	var out string
	var people int
	var seed uint64
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Simulate a register, run the whole study on it, write a bundle, say where",
		Example: "  utfall demo --lang sv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if people < 1000 {
				return usage("--people must be at least 1000: with fewer nothing can be shown")
			}
			o := study.Options{Workers: a.workers, Lang: string(a.language())}
			if !a.quiet {
				o.Progress = a.progress()
			}
			done, err := study.Demo(cmd.Context(), out, people, seed, o)
			if err != nil {
				return err
			}
			for _, line := range done.Summary() {
				a.printf("%s\n", line)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "utfall-demo", "`folder` for data and bundle")
	f.IntVar(&people, "people", 50000, "people in the register")
	f.Uint64Var(&seed, "seed", 1, "seed of the register")
	return cmd
}

func (a *app) simulateCmd() *cobra.Command {
	var out string
	o := synthetic.Options{}
	cmd := &cobra.Command{
		Use:     "simulate",
		Short:   "Write a synthetic register with known truth (truth.json beside it)",
		Example: "  utfall simulate --out register --people 200000 --scenario progress-only",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usage("--out: name the folder")
			}
			o.Workers = a.workers
			so := study.Options{}
			if !a.quiet {
				so.Progress = a.progress()
			}
			if err := study.Simulate(cmd.Context(), out, o, so); err != nil {
				if errors.Is(err, study.ErrSpec) {
					return usage("%v", err)
				}
				return err
			}
			a.printf("%s\n", out)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "`folder` to write")
	f.IntVar(&o.People, "people", 50000, "people in the register")
	f.IntVar(&o.Years, "years", 10, "years from 2010 on")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the register")
	f.StringVar(&o.Scenario, "scenario", "finsam", "what participation does: finsam, null, progress-only, shuffle, surrogacy-failure")
	f.BoolVar(&o.Dirty, "dirty", false, "put in the defects that registers have")
	return cmd
}
