package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/estimate/effect"
	"utfall/estimate/missing"
	"utfall/estimate/panel"
	"utfall/estimate/progress"
	"utfall/estimate/sensitivity"
	"utfall/ingest"
	"utfall/table"
)

// fitMethod is one METHOD of fit: its options are a struct of its own, so that a flag
// of another method cannot be given to it.
type fitMethod interface {
	// flags declares the method's own flags.
	flags(f *flagSet)
	// check lists what is wrong with their values, before any file is opened.
	check() []string
	// columns says which columns of the file take part and which of them a row may lack.
	columns() fitColumns
	// fit estimates.
	fit(ctx context.Context, d *fitData) (*fitOutput, error)
}

// fitMethods are the methods that are built, in the order in which help lists them.
func fitMethods() []fitEntry {
	return []fitEntry{
		{"describe", "Counts, means, spreads and quantiles of columns", "utfall fit describe --data lalonde.csv --columns age,educ,re74 --by treat",
			func() fitMethod { return &fitDescribe{} }},
		{"ols", "Least-squares regression with robust, clustered and fixed-effects variants", "utfall fit ols --data panel.csv --outcome wage --covariates schooling,year --categorical year --vcov cr2 --cluster county",
			func() fitMethod { return &fitOLS{} }},
		{"glm", "Regression of a binary outcome, a count or a number, by maximum likelihood", "utfall fit glm --data births.csv --outcome low --covariates age,smoke --family binomial --link logit",
			func() fitMethod { return &fitGLM{} }},
		{"ordinal", "Regression of an ordered outcome: proportional odds and its kin", "utfall fit ordinal --data wine.csv --outcome rating --covariates temp,contact --link logit",
			func() fitMethod { return &fitOrdinal{} }},
		{"clogit", "Conditional logistic regression in matched sets or panels", "utfall fit clogit --data infert.csv --outcome case --covariates spontaneous,induced --sets stratum",
			func() fitMethod { return &fitCLogit{} }},
		{"mixed", "Regression with a random intercept by group, linear or logistic", "utfall fit mixed --data sleep.csv --outcome reaction --covariates days --group subject",
			func() fitMethod { return &fitMixed{} }},
		{"gee", "Estimating equations for outcomes seen often: the mean of the population", "utfall fit gee --data pigs.csv --outcome weight --covariates week,copper --cluster pig --correlation exchangeable",
			func() fitMethod { return &fitGEE{} }},
		{"propensity", "Probability of treatment given covariates", "utfall fit propensity --data lalonde.csv --id id --treatment treat --covariates age,educ,race,married --format json",
			func() fitMethod { return &fitPropensity{} }},
		{"match", "Matching: nearest neighbour, exact, coarsened exact or subclasses, with balance before and after", "utfall fit match --data lalonde.csv --id id --treatment treat --covariates age,educ,race,married --caliper 0.2 --out matched.csv",
			func() fitMethod { return &fitMatch{} }},
		{"weight", "Weights that make two groups alike, with balance before and after", "utfall fit weight --data lalonde.csv --id id --treatment treat --covariates age,educ,race,married,re74 --method entropy --format json",
			func() fitMethod { return &fitWeight{} }},
		{"balance", "How alike two groups are, before and after weighting", "utfall fit balance --data matched.csv --treatment treat --covariates age,educ,race --weights weight --sets set",
			func() fitMethod { return &fitBalance{} }},
		{"effect", "Effect of a treatment: in a matched or weighted cohort, or by weighting, outcome models or matching of its own", "utfall fit effect --data lalonde.csv --id id --treatment treat --outcome re78 --covariates age,educ,race,re74 --method aipw --estimand att",
			func() fitMethod { return &fitEffect{} }},
		{"did", "Group-time average effects of a treatment that comes at different times", "utfall fit did --data mpdta.csv --unit countyreal --time year --cohort first.treat --outcome lemp --covariates lpop --aggregate dynamic",
			func() fitMethod { return &fitDid{} }},
		{"event-study", "Effects by time since treatment, by regression or imputation", "utfall fit event-study --data panel.csv --estimator imputation --unit municipality --time year --cohort joined --outcome rate",
			func() fitMethod { return &fitEvent{} }},
		{"inference", "Intervals that hold with few treated or few comparison units: the design chooses, alternatives beside it", "utfall fit inference --data panel.csv --unit municipality --time year --cohort joined --outcome rate --size inhabitants",
			func() fitMethod { return &fitFew{} }},
		{"spillover", "Effects on treated units and on untreated ones that they reach, against units that are neither", "utfall fit spillover --data panel.csv --unit municipality --time year --cohort joined --outcome rate --region commuting_region --cluster commuting_region",
			func() fitMethod { return &fitSpillover{} }},
		{"displacement", "Effects on participants and on others by how many take part where they live", "utfall fit displacement --data people.csv --outcome work --treatment took_part --place municipality --borders 0.1",
			func() fitMethod { return &fitDisplacement{} }},
		{"bacon", "Which comparisons two-way fixed effects average, and with what weights (a diagnosis)", "utfall fit bacon --data divorce.csv --unit st --time year --treatment unilateral --outcome suicide",
			func() fitMethod { return &fitBacon{} }},
		{"honest-did", "How far trends may depart from parallel before an effect is gone", "utfall fit honest-did --betas betas.csv --covariance covariance.csv --pre 4 --type relative --m 0.5,1,2",
			func() fitMethod { return &fitHonest{} }},
		{"synth", "Treated units against a weighted mean of others: synthetic control and synthetic difference-in-differences", "utfall fit synth --data prop99.csv --unit State --time Year --treated treated --outcome PacksPerCapita --method sdid --se placebo",
			func() fitMethod { return &fitSynth{} }},
		{"km", "Kaplan-Meier survival curves", "utfall fit km --data veteran.csv --time time --event status --by trt --at 90,180,365",
			func() fitMethod { return &fitKM{} }},
		{"logrank", "Tests that groups have the same hazard at every time", "utfall fit logrank --data veteran.csv --time time --event status --by trt --strata celltype",
			func() fitMethod { return &fitLogRank{} }},
		{"rmst", "Mean time up to a horizon, and its difference and ratio between groups", "utfall fit rmst --data veteran.csv --time time --event status --by trt --tau 365",
			func() fitMethod { return &fitRMST{} }},
		{"cif", "Cumulative incidence of events that preclude each other, with Gray's test", "utfall fit cif --data mgus2.csv --time etime --event event --by sex --at 60,120",
			func() fitMethod { return &fitCIF{} }},
		{"cox", "Proportional hazards regression (Cox)", "utfall fit cox --data veteran.csv --time time --event status --covariates trt,karno,age --strata celltype",
			func() fitMethod { return &fitCox{} }},
		{"fine-gray", "Regression of the cumulative incidence of one cause among competing ones (Fine-Gray)", "utfall fit fine-gray --data mgus2.csv --time etime --event event --cause 1 --covariates age,sex,mspike",
			func() fitMethod { return &fitFineGray{} }},
		{"states", "Probability of and time in each state, and net months on a higher step", "utfall fit states --data spells.csv --id id --from from --to to --start start --stop stop --by arm --at 12,24 --tau 36 --ladder sick=1,seeking=2,work=3",
			func() fitMethod { return &fitStates{} }},
		{"pseudo", "Regression of where people are at a time, or of how long they are there, although not everybody is followed (pseudo-values)", "utfall fit pseudo --data spells.csv --id id --from from --to to --start start --stop stop --state work --at 24 --link cloglog --covariates age,sex",
			func() fitMethod { return &fitPseudo{} }},
		{"sensitivity", "How strong a hidden cause would have to be to explain an effect away", "utfall fit sensitivity --data matched.csv --kind rosenbaum --treatment treat --outcome re78 --sets set --gamma 1,1.5,2",
			func() fitMethod { return &fitSensitivity{} }},
		{"meta", "Effects of many places: their mean, how much they differ, and each shrunken toward the whole", "utfall fit meta --data effects.csv --id municipality --effect effect --se se --method reml --test knapp-hartung",
			func() fitMethod { return &fitMeta{} }},
		{"power", "The smallest effect that a design can find, before any outcome is seen", "utfall fit power --data matched.csv --id id --treatment treat --sets set --weights weight --share 0.3 --set-correlation 0.1 --simulate 500",
			func() fitMethod { return &fitPower{} }},
		{"impute", "Completed data sets by chained equations", "utfall fit impute --data survey.csv --id person --columns age,health,work --by arm --m 20 --out imputed-%d.csv",
			func() fitMethod { return &fitImpute{} }},
		{"bounds", "What a difference can be where outcomes are missing: worst case, or trimming", "utfall fit bounds --data people.csv --id person --kind lee --treatment arm --outcome income --cells sex",
			func() fitMethod { return &fitBounds{} }},
		{"pool", "One answer from several completed data sets (Rubin's rules)", "utfall fit pool --data imputed1.csv --data imputed2.csv --data imputed3.csv",
			func() fitMethod { return &fitPool{} }},
		{"ladder", "How often participants are on a higher step: win probability, odds, ratio, net benefit", "utfall fit ladder --data steps.csv --treatment arm --outcome step --order sick,seeking,work --strata sex",
			func() fitMethod { return &fitLadder{} }},
		{"pairs", "Who fared better, pair by pair, on outcomes in order of importance, times that have not ended included", "utfall fit pairs --data people.csv --treatment arm --outcomes life:event=died:threshold=3,health:lower --horizon 36",
			func() fitMethod { return &fitPairs{} }},
		{"sequences", "Months in a row: changes of authority, time between the chairs, self-support for good, and how varied the months are", "utfall fit sequences --data months.csv --id id --months m01,m02,m03 --treatment arm --authority sick=FK,seeking=AF,none=nobody,work=own",
			func() fitMethod { return &fitSequences{} }},
		{"follow-up", "An effect on scores that not everybody gave: at random, by reference after drop-out, shifted, and the shift that tips it", "utfall fit follow-up --data visits.csv --id person --visit month --treatment arm --outcome score --covariates score0,age --strategy jr,cir --delta -2,-4 --mic 5",
			func() fitMethod { return &fitFollowUp{} }},
		{"mcf", "Mean number of repeated events, with or without a terminal event, and the rate ratio", "utfall fit mcf --data events.csv --id id --time time --event event --by arm --terminal dead --at 12,24",
			func() fitMethod { return &fitMCF{} }},
		{"costs", "What each payer paid more for participants, and the cost of one more unit of effect (Fieller)", "utfall fit costs --data people.csv --id id --treatment arm --costs state,region,municipality --effect months --willingness 5000,10000 --cluster set",
			func() fitMethod { return &fitCosts{} }},
		{"surrogate", "Forecast of a long-term effect from short-term surrogates and an older cohort", "utfall fit surrogate --data people.csv --id id --sample older --treatment arm --surrogates months12,health12 --covariates age,months0 --outcome selfsupport36 --folds 5 --seed 1",
			func() fitMethod { return &fitSurrogate{} }},
		{"distance", "Distance to a later outcome: how well it can be told from what is known on the way, judged on people it was not made of", "utfall fit distance --data people.csv --id id --outcome selfsupport36 --indicators state12,health12 --covariates age,sex --treatment arm --year year",
			func() fitMethod { return &fitDistance{} }},
		{"grm", "Graded response model: items with ordered answers, a slope each", "utfall fit grm --data survey.csv --id person --items q1,q2,q3,q4 --format json",
			func() fitMethod { return &fitTrait{model: progress.Graded} }},
		{"rasch", "Rasch model: items with two answers, equal slopes", "utfall fit rasch --data test.csv --items q1,q2,q3,q4,q5",
			func() fitMethod { return &fitTrait{model: progress.RaschModel} }},
		{"2pl", "Two-parameter logistic model: items with two answers, a slope each", "utfall fit 2pl --data test.csv --items q1,q2,q3,q4,q5",
			func() fitMethod { return &fitTrait{model: progress.TwoParameterLogistic} }},
		{"pcm", "Partial credit model: items with ordered answers, equal slopes", "utfall fit pcm --data survey.csv --items q1,q2,q3,q4",
			func() fitMethod { return &fitTrait{model: progress.PartialCreditModel} }},
		{"gpcm", "Generalised partial credit model: items with ordered answers, a slope each", "utfall fit gpcm --data survey.csv --items q1,q2,q3,q4",
			func() fitMethod { return &fitTrait{model: progress.GeneralisedPartialCredit} }},
		{"reliability", "Reliability of a scale or of raters, and the change that means something", "utfall fit reliability --data survey.csv --items q1,q2,q3,q4",
			func() fitMethod { return &fitReliability{} }},
	}
}

type fitEntry struct {
	name, short, example string
	make                 func() fitMethod
}

func (a *app) fitCmd() *cobra.Command {
	var built []string
	cmd := &cobra.Command{Use: "fit METHOD --data FILE …", Short: "One estimator on one flat table", DisableFlagParsing: true}
	for _, e := range fitMethods() {
		cmd.AddCommand(a.fitMethodCmd(e))
		built = append(built, e.name)
	}
	cmd.Long = `One estimator on one flat analysis file: CSV, TSV, Parquet, Arrow, XLSX, DTA or SAS7BDAT.

Built: ` + strings.Join(built, ", ") + `.

A column that is not numeric, or that --categorical names, is a category and becomes
dummies column[level]; the first level in byte order is the reference. Rows with a
missing value (empty, NA) in a column that is used are left out and counted in a note.
Results go to stdout. cmd/utfall/FIT.md lists the terms and details of each method.`
	cmd.Example = "  utfall fit ols --data wages.csv --outcome wage --covariates schooling,region --vcov hc3\n  utfall fit match --help"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 || slices.Contains(args, "-h") || slices.Contains(args, "--help"):
			return cmd.Help()
		case strings.HasPrefix(args[0], "-"):
			return usage("fit needs a METHOD before its flags; there are: %s", strings.Join(built, ", "))
		}
		return usage("fit has no method %q; there are: %s", args[0], strings.Join(built, ", "))
	}
	return cmd
}

func (a *app) fitMethodCmd(e fitEntry) *cobra.Command {
	m, common := e.make(), &fitCommon{}
	cmd := &cobra.Command{
		Use: e.name + " --data FILE …", Short: e.short, Long: e.short + ".", Example: "  " + e.example,
		DisableFlagParsing: true, // every problem of the command line is said at once: see parseFlags
	}
	f := &flagSet{cmd: cmd}
	common.flags(f)
	m.flags(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		help, problems := parseFlags(cmd, args)
		if help {
			if u, ok := m.(interface{ unused() []string }); ok {
				hideFlags(cmd, u.unused())
			}
			return cmd.Help()
		}
		if err := a.check(); err != nil {
			problems = append(problems, strings.TrimPrefix(err.Error(), errUsage.Error()+": "))
		}
		if r, ok := m.(pipeReader); ok {
			r.setInput(a.in)
		}
		neededFlags(f, m)
		problems = append(problems, f.unmet()...)
		problems = append(append(problems, common.check(m.columns())...), m.check()...)
		if len(problems) > 0 {
			return usage("%s", strings.Join(slices.Compact(problems), "\n"))
		}
		return a.fit(cmd.Context(), e.name, common, m)
	}
	return cmd
}

// fit reads the data, estimates and writes the answer.
func (a *app) fit(ctx context.Context, name string, c *fitCommon, m fitMethod) error {
	d, err := readMethodData(ctx, c, m, a.workers)
	if err != nil {
		return fitError(err, nil)
	}
	a.announce(m, d)
	out, err := m.fit(ctx, d)
	if err != nil {
		return fitError(err, d)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	out.Method = name
	out.notes = append(d.notes, out.notes...)
	return a.writeFit(c.format, out)
}

// inputError is an error of the data: exit code 3.
type inputError struct{ error }

func (e inputError) Unwrap() []error { return []error{e.error, ingest.ErrInput} }

// fitError gives an error its exit code and, where it is about a row, its line.
func fitError(err error, d *fitData) error {
	var row *estimate.RowError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errUsage), errors.Is(err, ingest.ErrInput), errors.Is(err, ingest.ErrResource):
		return err
	case errors.Is(err, table.ErrFilter):
		return usage("--where: %v", err)
	case errors.Is(err, combine.ErrOption), errors.Is(err, effect.ErrOption), errors.Is(err, missing.ErrOption), errors.Is(err, panel.ErrOption), errors.Is(err, sensitivity.ErrOption), errors.Is(err, cohort.ErrOption), errors.Is(err, ingest.ErrSpec):
		return usage("%v", err)
	case errors.As(err, &row) && d != nil:
		return inputError{d.at(row.Row, "", row.Err)}
	case d != nil:
		return inputError{prefixed{d.file, err}}
	}
	return inputError{err}
}

// prefixed is an error with the file that it is about.
type prefixed struct {
	file string
	err  error
}

func (e prefixed) Error() string { return e.file + ": " + e.err.Error() }
func (e prefixed) Unwrap() error { return e.err }
