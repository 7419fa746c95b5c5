package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"utfall/study"
)

func (a *app) verifyCmd() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Check a bundle: its files and consistency, and with data every number anew",
		Long: `Without data: the files are those of the manifest, the study file is the one that
was run, and every number agrees with its digest and with estimates.csv.
With --data the study is run again and compared number by number.
Exit code 6, and the numbers named, where something differs.`,
		Example: "  utfall verify utfall-demo/bundle --data utfall-demo/data",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := study.Options{Workers: a.workers}
			if !a.quiet {
				o.Progress = a.progress()
			}
			v, err := study.Verify(cmd.Context(), args[0], data, o)
			if err != nil {
				return err
			}
			for _, l := range v.Levels {
				word := "same"
				if !l.OK {
					word = "DIFFERS"
				}
				a.printf("%-8s %-12s %s\n", word, l.Name, l.Text)
			}
			if err := v.Err(); err != nil {
				return err
			}
			a.printf("verified: %s, %d numbers\n", v.Study, v.Numbers)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data: run the study again and compare")
	return cmd
}

func (a *app) diffCmd() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "diff A B",
		Short:   "Compare two bundles number by number: same, within tolerance, differs",
		Example: "  utfall diff results-2025 results-2026",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			found, err := study.Diff(args[0], args[1])
			if err != nil {
				return err
			}
			count := map[study.Verdict]int{}
			for _, c := range found {
				count[c.Verdict]++
				if all || c.Verdict != study.Same {
					a.printf("%-18s %s  %s\n", c.Verdict, c.Address, c.What)
				}
			}
			a.printf("%d numbers: %d same, %d within tolerance, %d differ, %d only in the first, %d only in the second\n", len(found),
				count[study.Same], count[study.Within], count[study.Differs], count[study.OnlyInA], count[study.OnlyInB])
			if n := count[study.Differs] + count[study.OnlyInA] + count[study.OnlyInB]; n > 0 {
				return fmt.Errorf("%w: %d of %d numbers differ", study.ErrDiffers, n, len(found))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list the numbers that are the same, too")
	return cmd
}

func (a *app) explainCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "explain BUNDLE ADDRESS",
		Short:   "Say where a number came from: study line, rows in and out, formula, source",
		Example: "  utfall explain utfall-demo/bundle work-24/att/risk-difference",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := study.Explain(args[0], args[1])
			if err != nil {
				return err
			}
			a.printf("%s", text)
			return nil
		},
	}
}
