package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"utfall/ingest"
	"utfall/internal/lang"
	"utfall/study"
)

// Exit codes, as documented in --help.
const (
	exitOK         = 0
	exitInternal   = 1
	exitUsage      = 2
	exitInput      = 3
	exitDisclosure = 4
	exitResource   = 5
	exitDiffers    = 6
	exitLocked     = 7
)

// app holds the global flags and the streams; commands are methods on it.
type app struct {
	in       io.Reader
	out, err io.Writer
	lang     string
	workers  int
	quiet    bool
	color    string
}

// errUsage marks an error of the command line.
var errUsage = errors.New("usage")

func usage(format string, a ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, a...))
}

// run is the whole program; tests call it with buffers. Results go to stdout,
// everything else to stderr.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) (code int) {
	defer func() {
		// A stack may hold a data value: say where, never what.
		if p := recover(); p != nil {
			fmt.Fprintf(errOut, "utfall: internal error in %s: please report it, with the command and the study file but no data\n", caller(string(debug.Stack())))
			code = exitInternal
		}
	}()
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	accepted := false // set once the command line has been read
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		accepted = true
		return a.check()
	}
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		fmt.Fprintln(errOut, "utfall: interrupted; nothing was written")
		return 130
	}
	for _, line := range strings.Split(strings.TrimPrefix(err.Error(), errUsage.Error()+": "), "\n") {
		fmt.Fprintf(errOut, "utfall: %s\n", line)
	}
	return exitCode(err, accepted)
}

func exitCode(err error, accepted bool) int {
	switch {
	case !accepted, errors.Is(err, errUsage), errors.Is(err, study.ErrSpec), errors.Is(err, ingest.ErrSpec):
		return exitUsage
	case errors.Is(err, study.ErrDisclosure):
		return exitDisclosure
	case errors.Is(err, study.ErrResource), errors.Is(err, ingest.ErrResource):
		return exitResource
	case errors.Is(err, study.ErrDiffers):
		return exitDiffers
	case errors.Is(err, study.ErrLocked):
		return exitLocked
	case errors.Is(err, study.ErrInput), errors.Is(err, ingest.ErrInput):
		return exitInput
	}
	return exitInternal
}

// caller is the function that panicked, from a stack trace.
func caller(stack string) string {
	lines := strings.Split(stack, "\n")
	seen := false
	for _, l := range lines {
		if strings.HasPrefix(l, "panic(") {
			seen = true
			continue
		}
		if seen && strings.HasPrefix(l, "utfall/") {
			if i := strings.LastIndex(l, "("); i > 0 {
				return l[:i]
			}
		}
	}
	return "an unknown place"
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "utfall",
		Short: "Outcome evaluation for coordinated rehabilitation, reproducible number by number",
		Long: `utfall takes participant records to matched cohorts, effects, figures and a report
that discloses no person, and lets an inspector reproduce every number.

Exit codes: 0 ok, 1 internal error, 2 usage or study file, 3 input rejected,
4 disclosure refusal, 5 resource, 6 verification failed, 7 locked. A question that the
data cannot answer is refused alone: it is said on stderr and in the report, the others
are answered, and the exit code is 0.`,
		Example:       "  utfall demo\n  utfall init my-study --template individual\n  utfall run my-study/study.yaml",
		Version:       study.ProgramVersion,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.lang, "lang", "", "language of reports and figures: sv or en (default from LANG, else en)")
	f.IntVar(&a.workers, "workers", 0, "how many cores to use, 0 = all; never changes a byte of any result")
	f.BoolVar(&a.quiet, "quiet", false, "no progress on stderr")
	f.StringVar(&a.color, "color", "auto", "colour on a terminal: auto or never")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		a.demoCmd(), a.initCmd(), a.simulateCmd(), a.checkCmd(), a.lockCmd(), a.runCmd(),
		a.stageCmd("ingest", "Read and check the data of a study, and store them", study.StageIngest),
		a.stageCmd("cohort", "Build the cohorts of a study: who is compared with whom", study.StageCohort),
		a.stageCmd("estimate", "Estimate the effects of a study", study.StageEstimate),
		a.stageCmd("plot", "Draw the figures of a study", study.StagePlot),
		a.stageCmd("report", "Write the report of a study", study.StageReport),
		a.verifyCmd(), a.diffCmd(), a.explainCmd(), a.fitCmd(),
	)
	return root
}

// check tests the global flags.
func (a *app) check() error {
	if a.lang != "" {
		if _, err := lang.Parse(a.lang); err != nil {
			return usage("--lang: %v", err)
		}
	}
	if a.workers < 0 {
		return usage("--workers must be at least 0")
	}
	if a.color != "auto" && a.color != "never" {
		return usage("--color %q is not one of auto, never", a.color)
	}
	return nil
}

// language is that of --lang, else of the environment, else English.
func (a *app) language() lang.Lang {
	if a.lang != "" {
		l, _ := lang.Parse(a.lang) // check has tested it
		return l
	}
	return lang.FromEnvironment(os.Getenv("LANG"))
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }
