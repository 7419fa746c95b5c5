package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"utfall/study"
)

// lockPath is where a study's plan lies unless another place is named.
func lockPath(studyPath, name, given string) string {
	if given != "" {
		return given
	}
	return filepath.Join(filepath.Dir(studyPath), name+".lock.json")
}

func (a *app) lockCmd() *cobra.Command {
	var data, lock string
	var replace bool
	cmd := &cobra.Command{
		Use:   "lock STUDY",
		Short: "Test a study's design without outcomes, and lock its plan where it passes",
		Long: `Builds the cohorts of the study from data without outcome columns and tests them
against the thresholds under lock: gate: (balance, overlap, sample, power). Where
all are met, the plan is written to NAME.lock.json beside the study file: digests of
the study file and of each of its parts, of the data, and of who is compared with whom.
A study with lock: opens its outcomes only where that file is there. What is changed
afterwards is labelled as a deviation in every output.

Exit code 7 where the design does not pass, or another plan is locked already.`,
		Example: "  utfall lock my-study/study.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := readStudy(args[0])
			if err != nil {
				return err
			}
			o := a.options(args[0], data, "")
			o.LockFile = lockPath(args[0], spec.Name, lock)
			lines, err := study.LockPlan(cmd.Context(), spec, o, replace)
			for _, line := range lines {
				a.printf("%s\n", line)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data (default: the study file's folder)")
	cmd.Flags().StringVar(&lock, "lock", "", "`file` of the plan (default: NAME.lock.json beside the study file)")
	cmd.Flags().BoolVar(&replace, "replace", false, "write a new plan over another one: honest only before outcomes were seen")
	return cmd
}
