package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"utfall/study"
)

// readStudy parses a study file; every problem of it is in the error.
func readStudy(path string) (*study.Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", study.ErrSpec, err)
	}
	defer f.Close()
	return study.Parse(path, f)
}

func (a *app) checkCmd() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "check STUDY",
		Short:   "Check a study file and its data before anything runs; says every problem, not the first",
		Example: "  utfall check my-study/study.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := readStudy(args[0])
			if err != nil {
				return err
			}
			o := a.options(args[0], data, "")
			o.LockFile = lockPath(args[0], spec.Name, "")
			found, err := study.Check(cmd.Context(), spec, o)
			for _, line := range found {
				a.printf("%s\n", line)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` of the data (default: the study file's folder)")
	return cmd
}

func (a *app) runCmd() *cobra.Command {
	var data, out, lock, engine string
	var resume bool
	cmd := &cobra.Command{
		Use:     "run STUDY",
		Short:   "Run a whole study: data, cohorts, effects, figures, report",
		Example: "  utfall run my-study/study.yaml --data /data/extract --out results",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if engine != "local" {
				return usage("--engine %q is not one of local", engine)
			}
			return a.runStudy(cmd, args[0], data, out, lock, "bundle", resume, study.StageReport)
		},
	}
	a.runFlags(cmd, &data, &out, &lock)
	cmd.Flags().BoolVar(&resume, "resume", false, "use the stored data of an earlier run where study and data are unchanged")
	cmd.Flags().StringVar(&engine, "engine", "local", "where tasks run: local")
	return cmd
}

// stageCmd runs a study up to one stage, using the stored data of earlier stages.
func (a *app) stageCmd(name, short string, until study.Stage) *cobra.Command {
	var data, out, lock string
	cmd := &cobra.Command{
		Use:     name + " STUDY",
		Short:   short,
		Example: fmt.Sprintf("  utfall %s my-study/study.yaml", name),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := name
			if until == study.StageReport {
				kind = "bundle"
			}
			return a.runStudy(cmd, args[0], data, out, lock, kind, true, until)
		},
	}
	a.runFlags(cmd, &data, &out, &lock)
	return cmd
}

func (a *app) runFlags(cmd *cobra.Command, data, out, lock *string) {
	cmd.Flags().StringVar(data, "data", "", "`folder` of the data (default: the study file's folder)")
	cmd.Flags().StringVar(out, "out", "", "`folder` to write (default: NAME-bundle, or NAME-STAGE, beside the study file)")
	cmd.Flags().StringVar(lock, "lock", "", "`file` of the locked plan (default: NAME.lock.json beside the study file, where it is there)")
}

// options fills in where data and bundle are by default.
func (a *app) options(studyPath, data, out string) study.Options {
	if data == "" {
		data = filepath.Dir(studyPath)
	}
	o := study.Options{DataDir: data, OutDir: out, Workers: a.workers, Lang: a.lang}
	if !a.quiet {
		o.Progress, o.Large = a.progress(), a.large
	}
	return o
}

// runStudy runs a study up to a stage; kind names the folder it leaves, NAME-kind.
func (a *app) runStudy(cmd *cobra.Command, path, data, out, lock, kind string, resume bool, until study.Stage) error {
	spec, err := readStudy(path)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(filepath.Dir(path), spec.Name+"-"+kind)
	}
	o := a.options(path, data, out)
	o.Resume, o.Until = resume, until
	o.LockFile = lockPath(path, spec.Name, lock)
	o.StoreDir = filepath.Join(filepath.Dir(path), ".utfall-store", spec.Name)
	done, err := study.Run(cmd.Context(), spec, o)
	if err != nil {
		return err
	}
	for _, line := range done.Summary() {
		a.printf("%s\n", line)
	}
	for _, line := range done.RefusedLines() {
		fmt.Fprintln(cmd.ErrOrStderr(), line)
	}
	return nil
}

func (a *app) initCmd() *cobra.Command {
	var template string
	cmd := &cobra.Command{
		Use:     "init DIR",
		Short:   "Make a folder with a commented study file, ready to edit",
		Example: "  utfall init my-study --template individual",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := study.Init(args[0], template)
			if errors.Is(err, study.ErrTemplate) {
				return usage("--template: %v", err)
			}
			if err != nil {
				return err
			}
			for _, f := range files {
				a.printf("%s\n", f)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&template, "template", "individual", "`kind` of study: "+study.TemplateList())
	return cmd
}
