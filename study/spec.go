// Package study is the composition root: what was asked (the study file), what was
// done (run), and the record of it (bundle, manifest, verification). It wires the
// other rooms together and holds no statistics of its own.
package study

import (
	"utfall/cohort"
	"utfall/ingest"
	"utfall/study/release"
)

// Version is the version of the study file format.
const Version = 1

// Disclosure says how few people are too few to show anything about.
type Disclosure struct {
	MinCount int `yaml:"min_count"` // 10 if absent
	RoundTo  int `yaml:"round_to"`  // shown counts are multiples of it; 5 if absent, 1 = not rounded
}

// Policy is the disclosure policy of the study; the spec has been checked.
func (d Disclosure) Policy() release.Policy {
	return release.Policy{MinCount: d.MinCount, RoundTo: d.RoundTo}
}

// Text is a text in the languages it was written in: {sv: …, en: …}.
type Text map[string]string

// In returns the text in a language, or in the other one where that is all there is.
func (t Text) In(lang string) string {
	if s, ok := t[lang]; ok {
		return s
	}
	if s, ok := t["en"]; ok {
		return s
	}
	return t["sv"]
}

// Spec is a study file.
type Spec struct {
	Format     int               `yaml:"utfall"` // version of the format: 1
	Name       string            `yaml:"name"`   // letters, digits and hyphens
	Title      Text              `yaml:"title"`
	Question   Text              `yaml:"question"`
	Background Text              `yaml:"background"` // a paragraph for the reader of the report
	Language   string            `yaml:"language"`   // sv or en: the report's; --lang overrides it
	Seed       uint64            `yaml:"seed"`
	Level      float64           `yaml:"level"` // of confidence; 0.95 if absent
	Disclosure Disclosure        `yaml:"disclosure"`
	Data       map[string]Source `yaml:"data"`
	Labels     map[string]Text   `yaml:"labels"` // what columns, levels and states are called in figures and report
	Cohorts    []Cohort          `yaml:"cohorts"`
	Analyses   []Analysis        `yaml:"analyses"`
	KnownTruth string            `yaml:"known_truth"` // a simulated register's truth file: the report shows it beside the estimates
	Report     Report            `yaml:"report"`
}

// Source is a data file with the meaning of its rows.
type Source struct {
	Kind          string `yaml:"kind"` // people, spells, participations, assessments, municipalities, costs or flat
	ingest.Source `yaml:",inline"`
}

// Cohort is a comparison: a table with one row per unit, and who is compared with whom.
type Cohort struct {
	Name        string            `yaml:"name"`
	Label       Text              `yaml:"label"`
	Base        string            `yaml:"base"`      // the data with one row per unit (kind flat or people)
	ID          string            `yaml:"id"`        // column that names the unit
	Treatment   string            `yaml:"treatment"` // column: 0 or 1; made by time_zero where that is given
	TimeZero    *TimeZero         `yaml:"time_zero"`
	Eligibility []Filter          `yaml:"eligibility"`
	Propensity  *Propensity       `yaml:"propensity"`
	Match       *cohort.MatchSpec `yaml:"match"`
	Balance     []string          `yaml:"balance"` // covariates; those of the propensity model if absent
	Groups      map[string]Text   `yaml:"groups"`  // what the treated and control arms are called
}

// TimeZero builds the cohort's rows from a register.
type TimeZero struct {
	cohort.Timing  `yaml:",inline"`
	Spells         string           `yaml:"spells"`         // data of kind spells
	Participations string           `yaml:"participations"` // data of kind participations
	Drop           []string         `yaml:"drop"`           // columns of the base not known at time zero
	Outcomes       []cohort.Outcome `yaml:"outcomes"`
}

// Filter is one eligibility rule: rows where keep is true stay.
type Filter struct {
	Name  string `yaml:"name"`
	Keep  string `yaml:"keep"`
	Label Text   `yaml:"label"`
}

// Propensity is the model of who takes part.
type Propensity struct {
	Covariates []string `yaml:"covariates"`
	Link       string   `yaml:"link"` // logit
}

// Analysis is one question with the one method that answers it.
type Analysis struct {
	Name     string  `yaml:"name"` // letters, digits and hyphens: the first part of its numbers' addresses
	Question Text    `yaml:"question"`
	Outcome  Text    `yaml:"outcome_label"` // what is measured, in words
	Good     string  `yaml:"good"`          // up, down or neutral: which direction is better for people
	Unit     string  `yaml:"unit"`          // percentage-points, months, kronor, percent, units
	Relevant float64 `yaml:"relevant"`      // smallest difference that matters, in the outcome's own unit
	Headline bool    `yaml:"headline"`      // shown among the key results

	Describe    *Describe    `yaml:"describe"`
	BeforeAfter *BeforeAfter `yaml:"before_after"`
	Effect      *Effect      `yaml:"effect"`
	DID         *DID         `yaml:"did"`
	States      *States      `yaml:"states"`
}

// Describe summarises columns of a cohort or of data.
type Describe struct {
	Cohort  string   `yaml:"cohort"`
	Data    string   `yaml:"data"`
	Columns []string `yaml:"columns"`
}

// BeforeAfter is the participants' share in some states at months before and after
// time zero: a description, printed as one, that shows what a comparison adds.
type BeforeAfter struct {
	Cohort string   `yaml:"cohort"`
	States []string `yaml:"states"`
	Before int      `yaml:"before"` // months before time zero
	After  int      `yaml:"after"`
}

// Effect is the effect of treatment on an outcome in a cohort.
type Effect struct {
	Cohort       string   `yaml:"cohort"`
	Outcome      string   `yaml:"outcome"`
	Method       string   `yaml:"method"` // difference or regression
	Covariates   []string `yaml:"covariates"`
	Interactions bool     `yaml:"interactions"`
	Where        string   `yaml:"where"` // subgroup; whole sets are kept only if the expression is constant within them
	Vcov         string   `yaml:"vcov"`  // cr1 on sets if absent; hc1 where there are no sets
}

// DID is the effect of staggered entry in a panel, by group and time.
type DID struct {
	Data         string   `yaml:"data"`
	Unit         string   `yaml:"unit"`
	Time         string   `yaml:"time"`
	Cohort       string   `yaml:"cohort"` // first period of treatment; 0 or missing = never
	Outcome      string   `yaml:"outcome"`
	Covariates   []string `yaml:"covariates"`
	Weights      string   `yaml:"weights"`
	Cluster      string   `yaml:"cluster"`
	Where        string   `yaml:"where"`
	Method       string   `yaml:"method"`
	Control      string   `yaml:"control"`
	Base         string   `yaml:"base"`
	Anticipation int      `yaml:"anticipation"`
	Aggregate    []string `yaml:"aggregate"` // none, simple, group, dynamic, calendar
	BalanceEvent *int     `yaml:"balance_event"`
	Window       []int    `yaml:"window"` // event times shown in the figure, [from, to]
	Bands        string   `yaml:"bands"`
	Replicates   int      `yaml:"replicates"`
}

// States is where people are, month by month, and how long they are on a higher step.
type States struct {
	Cohort string `yaml:"cohort"` // a cohort built by time_zero …
	Data   string `yaml:"data"`   // … or a table of spells with the columns below
	ID     string `yaml:"id"`
	From   string `yaml:"from"`
	To     string `yaml:"to"`
	Start  string `yaml:"start"`
	Stop   string `yaml:"stop"`
	By     string `yaml:"by"`

	At     []float64                 `yaml:"at"`
	Tau    float64                   `yaml:"tau"`
	Merge  map[string]string         `yaml:"merge"`  // state → shown state
	Order  []string                  `yaml:"order"`  // of states in figures, lowest first
	Ladder map[string]int            `yaml:"ladder"` // state → step
	Orders map[string]map[string]int `yaml:"alternative_ladders"`
}

// Report says what the report shows beside the analyses.
type Report struct {
	Caveats Text `yaml:"caveats"` // what this study cannot say
	Contact Text `yaml:"contact"`
}
