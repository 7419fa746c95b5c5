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
	MinCount int `yaml:"min_count,omitempty"` // 10 if absent
	RoundTo  int `yaml:"round_to,omitempty"`  // shown counts are multiples of it; 5 if absent, 1 = not rounded
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
	Format     int               `yaml:"utfall,omitempty"` // version of the format: 1
	Name       string            `yaml:"name,omitempty"`   // letters, digits and hyphens
	Title      Text              `yaml:"title,omitempty"`
	Question   Text              `yaml:"question,omitempty"`
	Background Text              `yaml:"background,omitempty"` // a paragraph for the reader of the report
	Language   string            `yaml:"language,omitempty"`   // sv or en: the report's; --lang overrides it
	Seed       uint64            `yaml:"seed,omitempty"`
	Level      float64           `yaml:"level,omitempty"` // of confidence; 0.95 if absent
	Disclosure Disclosure        `yaml:"disclosure,omitempty"`
	Data       map[string]Source `yaml:"data,omitempty"`
	Labels     map[string]Text   `yaml:"labels,omitempty"` // what columns, levels and states are called in figures and report
	Cohorts    []Cohort          `yaml:"cohorts,omitempty"`
	Analyses   []Analysis        `yaml:"analyses,omitempty"`
	Families   []TestFamily      `yaml:"families,omitempty"` // analyses that are tested together
	Lock       *Lock             `yaml:"lock,omitempty"`
	KnownTruth string            `yaml:"known_truth,omitempty"` // a simulated register's truth file: the report shows it beside the estimates
	Report     Report            `yaml:"report,omitempty"`
}

// Source is a data file with the meaning of its rows.
type Source struct {
	Kind          string `yaml:"kind,omitempty"` // people, spells, participations, assessments, municipalities, memberships, changes, costs or flat
	ingest.Source `yaml:",inline"`
	Published     bool   `yaml:"published,omitempty"` // of municipalities: the values are published statistics about places, not about people
	Panel         *Panel `yaml:"panel,omitempty"`     // of municipalities: on the codes of the last year, with memberships
}

// Cohort is a comparison: a table with one row per unit, and who is compared with whom.
type Cohort struct {
	Name        string                 `yaml:"name,omitempty"`
	Label       Text                   `yaml:"label,omitempty"`
	Base        string                 `yaml:"base,omitempty"`      // the data with one row per unit (kind flat or people)
	ID          string                 `yaml:"id,omitempty"`        // column that names the unit
	Treatment   string                 `yaml:"treatment,omitempty"` // column: 0 or 1; made by time_zero where that is given
	TimeZero    *TimeZero              `yaml:"time_zero,omitempty"`
	Dates       *Dates                 `yaml:"dates,omitempty"` // of a flat base: tested, so that no time is immortal
	Known       map[string]string      `yaml:"known,omitempty"` // of a flat base: column → the date column that says when it became known, or after
	Trial       *Trial                 `yaml:"trial,omitempty"`
	Eligibility []Filter               `yaml:"eligibility,omitempty"`
	Propensity  *cohort.PropensitySpec `yaml:"propensity,omitempty"` // who takes part
	Match       *cohort.MatchSpec      `yaml:"match,omitempty"`
	Weight      *cohort.WeightSpec     `yaml:"weight,omitempty"`     // instead of match
	Balance     []string               `yaml:"balance,omitempty"`    // covariates; those of the propensity model if absent
	BalanceBy   []string               `yaml:"balance_by,omitempty"` // columns within whose levels balance is told, too
	Groups      map[string]Text        `yaml:"groups,omitempty"`     // what the treated and control arms are called
}

// TimeZero builds the cohort's rows from a register.
type TimeZero struct {
	cohort.Timing  `yaml:",inline"`
	Spells         string            `yaml:"spells,omitempty"`         // data of kind spells
	Participations string            `yaml:"participations,omitempty"` // data of kind participations
	Amounts        string            `yaml:"amounts,omitempty"`        // data of kind costs, for the feature amounts
	KnownFrom      map[string]string `yaml:"known_from,omitempty"`     // column of the base → its date column that says when the value became known
	Drop           []string          `yaml:"drop,omitempty"`           // columns of the base not known at time zero
	Outcomes       []cohort.Outcome  `yaml:"outcomes,omitempty"`
	Censoring      *cohort.CloneSpec `yaml:"censoring,omitempty"` // with later: censor or a grace period: who starts when, for the weights
}

// Trial is the trial that the cohort emulates, in words: what would be done if people
// could be drawn by lot. What is left out is said in the usual words; how each item is
// emulated, the program says itself.
type Trial struct {
	Eligibility Text `yaml:"eligibility,omitempty"`
	Treated     Text `yaml:"treated,omitempty"` // the strategy of the treated arm
	Control     Text `yaml:"control,omitempty"` // … of the comparison arm
	Assignment  Text `yaml:"assignment,omitempty"`
	FollowUp    Text `yaml:"follow_up,omitempty"`
	Outcomes    Text `yaml:"outcomes,omitempty"`
	Contrast    Text `yaml:"contrast,omitempty"`
	Assumptions Text `yaml:"assumptions,omitempty"`
	Analysis    Text `yaml:"analysis,omitempty"`
}

// Filter is one eligibility rule: rows where keep is true stay.
type Filter struct {
	Name  string `yaml:"name,omitempty"`
	Keep  string `yaml:"keep,omitempty"`
	Label Text   `yaml:"label,omitempty"`
}

// Analysis is one question with the one method that answers it.
type Analysis struct {
	Name     string            `yaml:"name,omitempty"` // letters, digits and hyphens: the first part of its numbers' addresses
	Question Text              `yaml:"question,omitempty"`
	Outcome  Text              `yaml:"outcome_label,omitempty"` // what is measured, in words
	Good     string            `yaml:"good,omitempty"`          // up, down or neutral: which direction is better for people
	Unit     string            `yaml:"unit,omitempty"`          // percentage-points (of shares), points (of per cent), months, kronor, percent, units
	Relevant float64           `yaml:"relevant,omitempty"`      // smallest difference that matters, in the outcome's own unit
	Expect   *Expect           `yaml:"expect,omitempty"`        // what the comparison people's outcome is thought to be: for power
	Headline bool              `yaml:"headline,omitempty"`      // shown among the key results
	Role     string            `yaml:"role,omitempty"`          // negative-control or placebo: a check that an analysis of trust asks for, no answer of its own
	Truth    map[string]string `yaml:"truth,omitempty"`         // simulated data: term → path in the known truth; "event" → a list of objects with key and effect

	Describe     *Describe     `yaml:"describe,omitempty"`
	BeforeAfter  *BeforeAfter  `yaml:"before_after,omitempty"`
	Effect       *Effect       `yaml:"effect,omitempty"`
	Trust        *Trust        `yaml:"trust,omitempty"`
	DID          *DID          `yaml:"did,omitempty"`
	Triple       *Triple       `yaml:"triple,omitempty"`
	Switching    *Switching    `yaml:"switching,omitempty"`
	Dose         *Dose         `yaml:"dose,omitempty"`
	Synth        *Synth        `yaml:"synth,omitempty"`
	Spillover    *Spillover    `yaml:"spillover,omitempty"`
	Displacement *Displacement `yaml:"displacement,omitempty"`
	Reconcile    *Reconcile    `yaml:"reconcile,omitempty"`
	Trends       *Trends       `yaml:"trends,omitempty"`
	States       *States       `yaml:"states,omitempty"`
	TimeTo       *TimeTo       `yaml:"time_to,omitempty"`
	Pairs        *Pairs        `yaml:"pairs,omitempty"`
	Steps        *Steps        `yaml:"ladder,omitempty"`
	FollowUp     *FollowUp     `yaml:"follow_up,omitempty"`
	Recurrent    *Recurrent    `yaml:"recurrent,omitempty"`
	Landmark     *Landmark     `yaml:"landmark,omitempty"`
	Sequences    *Sequences    `yaml:"sequences,omitempty"`
	Course       *Course       `yaml:"course,omitempty"`
	Places       *Places       `yaml:"places,omitempty"`
	Instrument   *Instrument   `yaml:"reliability,omitempty"`
	Distance     *Distance     `yaml:"distance,omitempty"`
	Missing      *Missing      `yaml:"missing,omitempty"`
	Progress     *Headlines    `yaml:"progress,omitempty"`
	Costs        *Costs        `yaml:"costs,omitempty"`
}

// Lock keeps the outcomes closed until the design has passed the gate and the plan is
// written down.
type Lock struct {
	Required *bool `yaml:"required,omitempty"` // true if absent: without a lock file nothing after time zero is read
	Gate     Gate  `yaml:"gate,omitempty"`
}

// Gate is what a cohort's design must meet before outcomes are opened. Every
// threshold has a default, written out in the resolved study file.
type Gate struct {
	MaxSMD     *float64 `yaml:"max_smd,omitempty"`     // largest absolute standardised mean difference of a balance covariate after the design; 0.1
	MinKept    *float64 `yaml:"min_kept,omitempty"`    // share of eligible treated units that are compared; 0.8
	MinSupport *float64 `yaml:"min_support,omitempty"` // share of treated units with a score within the range of the comparison units; 0.9
	MinTreated *int     `yaml:"min_treated,omitempty"` // treated units that are compared; 50
	MinESS     *float64 `yaml:"min_ess,omitempty"`     // effective number of comparison units, (Σw)²/Σw²; 50
	Power      *float64 `yaml:"power,omitempty"`       // chance of finding a difference of the size relevant; 0.8
	Simulate   int      `yaml:"simulate,omitempty"`    // replicates in which that chance is also found by simulation on the cohort itself; 0 = none
}

// Expect is the outcome's distribution among comparison people as it is thought to be
// before outcomes are opened; exactly one is given.
type Expect struct {
	Share float64 `yaml:"share,omitempty"` // of a 0/1 outcome, above 0 and below 1
	SD    float64 `yaml:"sd,omitempty"`    // standard deviation, in the outcome's own unit
}

// Report says what the report shows beside the analyses.
type Report struct {
	Caveats Text `yaml:"caveats,omitempty"` // what this study cannot say
	Contact Text `yaml:"contact,omitempty"`
}
