package study

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v4"

	"utfall/cohort"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/study/report"
)

// write puts the bundle, or the part of it that an earlier stage leaves, together in a
// folder beside its place and moves it there.
func (s *state) write() (err error) {
	s.o.report("report", s.spec.Name, 0, 1)
	parent := filepath.Dir(filepath.Clean(s.o.OutDir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	tmp, err := os.MkdirTemp(parent, ".tmp-"+s.spec.Name+"-")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(tmp)
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	if err := s.writeFiles(tmp); err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := publish(tmp, s.o.OutDir); err != nil {
		return err
	}
	s.o.report("report", "", 1, 1)
	return nil
}

// bundleFile is a file of the bundle.
type bundleFile struct {
	from Stage // the first stage that leaves it
	name string
	fill func(w io.Writer) error
}

func (s *state) writeFiles(dir string) error {
	put := func(name string, fill func(w io.Writer) error) error {
		var b bytes.Buffer
		if err := fill(&b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("%w: %w", ErrResource, err)
		}
		if err := writeSynced(path, b.Bytes()); err != nil {
			return fmt.Errorf("%w: %w", ErrResource, err)
		}
		return nil
	}
	spec, err := s.spec.resolved()
	if err != nil {
		return err
	}
	files := []bundleFile{
		{StageCohort, specFile, func(w io.Writer) error { _, err := w.Write(spec); return err }},
		{StageCohort, attritionCSV, func(w io.Writer) error { return writeCSV(w, attritionHeader, s.attritionRows()) }},
		{StageCohort, balanceCSV, func(w io.Writer) error { return writeCSV(w, balanceHeader, s.balanceRows()) }},
		{StageCohort, strataCSV, func(w io.Writer) error { return writeCSV(w, strataHeader, s.strataRows()) }},
		{StageCohort, protocolFile, func(w io.Writer) error { return encodeJSON(w, s.bundle.protocol) }},
		{StageCohort, featuresCSV, func(w io.Writer) error { return writeCSV(w, featuresHeader, s.featureRows()) }},
		{StageCohort, trialFile, func(w io.Writer) error { return encodeJSON(w, s.trials()) }},
		{StageEstimate, resultsFile, func(w io.Writer) error { return writeResults(w, s.bundle.records) }},
		{StageEstimate, csvFile, func(w io.Writer) error { return writeEstimates(w, s.bundle.records) }},
		{StageReport, reportFile, func(w io.Writer) error {
			in, err := s.reportInput(digest(spec))
			if err != nil {
				return err
			}
			return report.Write(w, in)
		}},
	}
	if s.lockBytes != nil {
		files = append(files, bundleFile{StageEstimate, lockFile, func(w io.Writer) error { _, err := w.Write(s.lockBytes); return err }})
	}
	for _, f := range s.figures {
		for ending, b := range map[string][]byte{".png": f.drawn.PNG, ".svg": f.drawn.SVG, ".pdf": f.drawn.PDF, ".csv": f.drawn.CSV} {
			files = append(files, bundleFile{StagePlot, figuresDir + "/" + f.name + ending, func(w io.Writer) error { _, err := w.Write(b); return err }})
		}
	}
	for _, f := range files {
		if s.o.Until < f.from {
			continue
		}
		if err := put(f.name, f.fill); err != nil {
			return err
		}
	}
	m, err := s.manifest(dir, digest(spec))
	if err != nil {
		return err
	}
	return put(manifestFile, func(w io.Writer) error { return encodeJSON(w, m) })
}

func writeSynced(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// resolved is the study file with every default written out.
func (s *Spec) resolved() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# The study as it was run, every default written out.\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(s); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	if _, err := Parse(specFile, bytes.NewReader(b.Bytes())); err != nil {
		return nil, fmt.Errorf("the resolved study file cannot be read back: %w", err)
	}
	return b.Bytes(), nil
}

func (s *state) manifest(dir, specDigest string) (*Manifest, error) {
	m := &Manifest{
		Format: Version, Study: s.spec.Name, Build: thisBuild(), Spec: specDigest, Seed: s.spec.Seed,
		Inputs: s.inputs(), Numbers: len(s.bundle.records), Digests: map[string]string{},
		Plan: PlanRecord{Deviations: s.deviations, Gate: s.gate},
	}
	if s.lockBytes != nil {
		m.Plan.Lock = digest(s.lockBytes)
	}
	for _, r := range s.bundle.records {
		d, err := numberDigest(r)
		if err != nil {
			return nil, err
		}
		m.Digests[r.Address] = d
	}
	for i := range s.spec.Cohorts {
		name := s.spec.Cohorts[i].Name
		if flow, ok := s.bundle.attrition[name]; ok {
			for _, st := range flow.Steps {
				m.Steps = append(m.Steps, ManifestStep{name, st.Name, st.Rule, st.Left.Units().String(), st.Excluded.Units().String()})
			}
		}
	}
	var err error
	m.Outputs, err = outputs(dir)
	return m, err
}

var attritionHeader = []string{"cohort", "step", "rule", "treated_kept", "control_kept", "treated_dropped", "control_dropped"}

func (s *state) attritionRows() [][]string {
	var out [][]string
	for i := range s.spec.Cohorts {
		name := s.spec.Cohorts[i].Name
		flow, ok := s.bundle.attrition[name]
		if !ok {
			continue
		}
		out = append(out, []string{name, "start", "", flow.Start.Treated.String(), flow.Start.Control.String(), "", ""})
		for _, st := range flow.Steps {
			out = append(out, []string{name, st.Name, st.Rule, st.Left.Treated.String(), st.Left.Control.String(), st.Excluded.Treated.String(), st.Excluded.Control.String()})
		}
	}
	return out
}

var featuresHeader = []string{"cohort", "column", "source", "known", "first_month", "last_month", "date_column"}

// featureRows say of every background column that time_zero made or took over where it is
// from and when it was known; months count from time zero, before it negative.
func (s *state) featureRows() [][]string {
	var out [][]string
	for i := range s.spec.Cohorts {
		b := s.cohorts[s.spec.Cohorts[i].Name]
		if b.made == nil {
			continue
		}
		for _, f := range b.made.Features {
			first, last := "", ""
			if f.Known == cohort.KnownLookBack {
				first, last = strconv.Itoa(-f.From), strconv.Itoa(-f.To-1)
			}
			out = append(out, []string{b.spec.Name, f.Column, f.Source, f.Known, first, last, f.Dated})
		}
	}
	return out
}

var balanceHeader = []string{"cohort", "variable", "mean_treated_before", "mean_control_before", "smd_before", "variance_ratio_before", "ecdf_mean_before", "ecdf_max_before",
	"mean_treated_after", "mean_control_after", "smd_after", "variance_ratio_after", "ecdf_mean_after", "ecdf_max_after"}

func (s *state) balanceRows() [][]string {
	var out [][]string
	for i := range s.spec.Cohorts {
		name := s.spec.Cohorts[i].Name
		for _, row := range s.bundle.balance[name].Rows {
			cells := []string{name, row.Variable}
			for _, side := range []release.BalanceSide{row.Before, row.After} {
				for _, v := range []release.Value{side.MeanTreated, side.MeanControl, side.SMD, side.VarianceRatio, side.ECDFMean, side.ECDFMax} {
					cells = append(cells, valueCell(v))
				}
			}
			out = append(out, cells)
		}
	}
	return out
}

// valueCell writes a released value: ".." where withheld, empty where it does not exist.
func valueCell(v release.Value) string {
	if v.Suppressed() {
		return ".."
	}
	x, _ := v.Float()
	return float(number(x))
}

// Summary is what a run says at its end, one line each, in the language of the report.
func (o *Outcome) Summary() []string {
	l := lang.Lang(o.Spec.Language)
	if o.Bundle == "" {
		return o.lines
	}
	withheld := 0
	for _, r := range o.Records {
		if r.Withheld {
			withheld++
		}
	}
	if o.until < StageReport {
		return append(o.lines, l.Text("study.stage-at", "path", o.Bundle))
	}
	return append(o.lines,
		l.Text("study.done", "numbers", len(o.Records), "withheld", withheld),
		l.Text("study.report-at", "path", filepath.Join(o.Bundle, reportFile)))
}

// stageLines say what was read and built.
func (s *state) stageLines() []string {
	var out []string
	for _, name := range sortedKeys(s.data) {
		r := s.data[name].result.Report
		out = append(out, s.lang.Text("study.stage-ingest", "name", name, "kept", r.Kept, "rejected", r.Rejected, "file", r.File, "encoding", or(r.Encoding, r.Format)))
	}
	for i := range s.spec.Cohorts {
		b, ok := s.cohorts[s.spec.Cohorts[i].Name]
		if !ok {
			continue
		}
		a := arms(b.treated)
		if b.grace() {
			out = append(out, s.lang.Text("study.stage-clones", "name", b.spec.Name, "n", len(b.rows)))
			continue
		}
		out = append(out, s.lang.Text("study.stage-cohort", "name", b.spec.Name, "treated", a.Treated, "control", a.Control))
	}
	return out
}
