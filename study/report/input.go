// Package report writes report.html: one self-contained file, in Swedish or English,
// that a member of a municipal board can read. It computes no result. It is the only
// place where numbers are rounded and put on the scale of the reader, and every
// sentence about an effect comes from the interval alone.
package report

import (
	"errors"
	"html/template"

	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/table"
)

// Errors of the package. Test with [errors.Is].
var (
	ErrInput  = errors.New("incomplete report")
	ErrFigure = errors.New("a figure that cannot stand in a report")
)

// Input is all that a report says. Names, labels and questions are in the language
// of the report; numbers have been through disclosure control.
type Input struct {
	Lang       lang.Lang // required
	Title      string    // required
	Question   string    // required: what the study wants to know
	Background string    // a paragraph for the reader, may be empty
	Summary    string    // a paragraph in words, beside the one the report makes from the headlines
	Publisher  string    // who made it and whom to ask, may be empty
	Period     string    // the period of the data, "2010–2019"; the report names no time of its making
	Simulated  bool      // the data are made up: said at the top, and truths are shown

	Sources      []Source
	Comparisons  []Comparison
	Plan         *Plan // nil = nothing is said of one
	Findings     []Finding
	Destinations []Destination
	Notes        []table.Note // that belong to no single number
	CannotSay    []string     // what this study cannot say
	Protocol     release.Protocol
	Published    []string // names of data that are published statistics about places: their numbers may rest on a single place
	Reproduction Reproduction
}

// Source is a data file that was read.
type Source struct {
	Name, File     string
	Rows, Rejected release.Count
	Reasons        []Reason // why rows were rejected, with how many
	Notes          []table.Note
}

// Reason is why rows were rejected.
type Reason struct {
	Text string
	Rows release.Count
}

// Comparison is who was compared with whom. Attrition and Balance may be nil, for a
// panel of municipalities for example.
type Comparison struct {
	Name       string // as in the study file; findings name it
	Label      string // what the reader calls it
	Treated    string // what the groups are called; empty = participants
	Control    string // empty = comparison group
	Population string // the target population in words
	TimeZero   string // the rule of time zero in words
	Period     string
	Design     string   // how the comparison people were chosen, in words
	Known      []string // when background was known, a line a source
	Attrition  *release.Attrition
	StepLabels map[string]string // step name → what the reader sees
	Balance    *release.BalanceTable
	RowLabels  map[string]string // balance variable → what the reader sees
	Figures    []Figure
	Notes      []table.Note
	Trial      []TrialRow // nil = no trial is emulated
}

// TrialRow is an item of the trial that would answer the question beside how the data
// stand in for it.
type TrialRow struct {
	Item, Target, Emulation string
	Sources                 []string // where its numbers can be looked up
}

// Plan is what was written down before the outcomes were opened.
type Plan struct {
	Say        string // in a sentence
	Digest     string // of the lock file; empty = none
	Gate       []GateRow
	Deviations []string // what was done otherwise
}

// GateRow is one test of the design.
type GateRow struct {
	What, Value, Must string
	Passed            bool
}

// Kind is what a number may be called.
type Kind string

// The kinds.
const (
	Effect      Kind = "effect"      // compared with people alike, by a design
	Association Kind = "association" // compared, but not with people known to be alike
	Description Kind = "description" // not compared
	Refused     Kind = "refused"     // no number is given
	Check       Kind = "check"       // says how far another number may be trusted
)

// Direction is which way is better for people.
type Direction string

// The directions.
const (
	Up      Direction = "up"
	Down    Direction = "down"
	Neutral Direction = "neutral"
)

// Unit is the unit in which a reader sees a number.
type Unit string

// The units. Percentage points and percent are of a proportion: 0.05 is 5. A measure
// on a log scale is shown as a ratio whatever the unit.
const (
	PercentagePoints Unit = "percentage-points"
	Points           Unit = "points" // percentage points of numbers that are per cent already: 5 is 5
	Months           Unit = "months"
	Kronor           Unit = "kronor"
	Percent          Unit = "percent"
	PValue           Unit = "p-value"
	Plain            Unit = "units"
)

// Finding is the answer to one question.
type Finding struct {
	Address    string // of the number: analysis/term/measure; required
	Outcome    string // what is measured: "Own income 24 months after the start"; required
	Question   string
	Comparison string // name of a Comparison, may be empty
	Kind       Kind
	Headline   bool // among the key results; at most 5 are
	Beside     bool // the yardstick of old: one line beneath the key results, never one of them
	Under      bool // it is about the finding before it, and stands under that
	// Says are sentences in the place of the one that the interval gives, or behind it where the first is ""; required for Check.
	Says      []string
	Row       string // what the main number is called; empty = the usual word
	Signed    bool   // the numbers are differences, whatever their measure is called
	Deviation string // what is said of a number that departs from the locked plan; empty = nothing
	Unit      Unit
	Good      Direction
	// Relevance is the smallest difference that matters, in the unit of the estimate
	// (0.02 for two percentage points); 0 = none was set.
	Relevance float64
	Estimate  release.Estimate
	Means     *Means  // of the groups, after the design
	Naive     *Naive  // the same people before and after, shown as description
	Truth     *Truth  // for simulated data
	Rows      []Row   // further numbers of the same analysis
	Why, Fix  string  // Refused: why no number is given, and what would change that
	Apart     string  // Association: why it is no effect; "" = the groups were not made alike
	Method    *Method // nil for Refused
	Gates     []Gate  // tests that the number had to pass, nil = none
	Notes     []table.Note
	Figures   []Figure
}

// Gate is a test of whether a number may be called what it is called.
type Gate struct {
	What        string
	Status      string // in words
	Met         bool
	Value, Must string
	Means       string // what is asked, and why
	Consequence string // what follows where it is not met; empty = nothing
}

// Means are the group means that a difference lies between.
type Means struct{ Treated, Control release.Mean }

// Naive is a before-and-after comparison of the participants alone.
type Naive struct {
	Address       string
	Before, After release.Mean
	Change        release.Estimate
}

// Truth is the effect that was put into simulated data.
type Truth struct{ Value float64 }

// Row is one more number of an analysis: an event time, a month, a state.
type Row struct {
	Address  string
	Label    string
	Unit     Unit // empty = the finding's
	Estimate release.Estimate
	Notes    []table.Note
}

// Method is how a number was made, in words.
type Method struct {
	Estimand, Method, StandardErrors string
}

// Destination is where 100 people of each group are at one time.
type Destination struct {
	Label            string
	Treated, Control release.Distribution
	Names            map[string]string // class → what the reader sees
	Treats, Controls string            // what the groups are called; empty = participants, comparison group
	Figures          []Figure
	Notes            []table.Note
}

// Figure is a picture with the words that stand for it. Either SVG or PNG is set.
type Figure struct {
	SVG     []byte
	PNG     []byte
	Alt     string // one sentence for those who do not see it; required
	Caption string // without links
	CSV     string // name of the file with the numbers that were drawn
	Wide    bool   // needs the whole width of the page
}

// Reproduction is what another needs to get the same numbers.
type Reproduction struct {
	Version, Build string
	Seed           uint64
	Command        string
	Hashes         []Hash
}

// Hash is the fingerprint of a file.
type Hash struct{ File, SHA256 string }

// drawing is a checked figure, safe to stand in the page.
type drawing struct {
	Markup            template.HTML // SVG
	Image             template.URL  // or a data URI
	Alt, Caption, CSV string
	Wide              bool
}
