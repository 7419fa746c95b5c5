package study

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v4"

	"utfall/study/report"
)

// Explain says where a number of a bundle came from: its line in the study file, the
// rows that went in and out before it, the formula, the source.
func Explain(bundle, address string) (string, error) {
	fsys, done, err := openBundle(bundle)
	if err != nil {
		return "", err
	}
	defer done()
	c, err := readBundle(fsys)
	if err != nil {
		return "", err
	}
	var rec *Record
	var near []string
	analysis, _, _ := strings.Cut(address, "/")
	for i, r := range c.records {
		if r.Address == address {
			rec = &c.records[i]
		}
		if r.Analysis == analysis {
			near = append(near, r.Address)
		}
	}
	if rec == nil {
		if near == nil {
			for _, r := range c.records {
				near = append(near, r.Address)
			}
		}
		return "", fmt.Errorf("%w: no number has the address %q; there are:\n%s", ErrInput, address, strings.Join(near, "\n"))
	}
	b, err := fs.ReadFile(fsys, specFile)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	spec, err := Parse(specFile, bytes.NewReader(b))
	if err != nil {
		return "", err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSpec, err)
	}
	var w strings.Builder
	fmt.Fprintf(&w, "address     %s\n", rec.Address)
	fmt.Fprintf(&w, "number      %s", shown(rec.Estimate))
	if rec.ConfLow != nil && rec.ConfHigh != nil {
		fmt.Fprintf(&w, ", %g %% interval %s to %s (%s)", *rec.ConfLevel*100, float(rec.ConfLow), float(rec.ConfHigh), rec.ConfMethod)
	}
	if rec.StdError != nil {
		fmt.Fprintf(&w, ", standard error %s", float(rec.StdError))
	}
	fmt.Fprintf(&w, "\nkind        %s\n", rec.Kind)
	for i, a := range spec.Analyses {
		if a.Name == rec.Analysis {
			fmt.Fprintf(&w, "study       %s:%d: analysis %q, method %s\n", specFile, lineOf(&doc, "analyses", i), a.Name, rec.Method)
			if a.Effect != nil {
				fmt.Fprintf(&w, "vcov        %s\n", a.Effect.Vcov)
			}
			explainData(&w, c.manifest, spec, a)
		}
	}
	if rec.Treated != nil && rec.Control != nil {
		fmt.Fprintf(&w, "units       %d treated, %d comparison (rounded by disclosure control)\n", *rec.Treated, *rec.Control)
	}
	info := methodTexts[rec.Method]
	for _, x := range []struct{ what, text string }{
		{"estimates", info.estimand}, {"formula", info.equation}, {"errors", info.errors}, {"source", info.source}, {"documented", info.documented},
	} {
		if x.text != "" {
			fmt.Fprintf(&w, "%-11s %s\n", x.what, x.text)
		}
	}
	notes := rec.Notes
	if rec.Kind == string(report.Refused) && len(notes) > 1 {
		fmt.Fprintf(&w, "refused     %s: %s\nwould help  %s: %s\n", notes[0].Code, notes[0].Text, notes[1].Code, notes[1].Text)
		notes = notes[2:]
	}
	for _, n := range notes {
		fmt.Fprintf(&w, "note        %s: %s\n", n.Code, n.Text)
	}
	fmt.Fprintf(&w, "program     utfall %s, %s, %s\n", c.manifest.Build.Version, c.manifest.Build.Go, c.manifest.Build.Target)
	return w.String(), nil
}

// explainData prints the data behind an analysis with rows in and out.
func explainData(w *strings.Builder, m Manifest, spec *Spec, a Analysis) {
	rests := a.rests()
	cohortName, data := rests.cohort, map[string]bool{}
	for _, name := range rests.data {
		data[name] = true
	}
	if co := spec.findCohort(cohortName); co != nil {
		data[co.Base] = true
		if co.TimeZero != nil {
			data[co.TimeZero.Spells], data[co.TimeZero.Participations] = true, true
		}
	}
	for _, in := range m.Inputs {
		if data[in.Name] {
			fmt.Fprintf(w, "data        %s (%s): %s rows read, %s kept, %s rejected; sha256 %s\n", in.Name, in.File, in.Rows, in.Kept, in.Rejected, in.SHA256)
		}
	}
	for _, s := range m.Steps {
		if s.Cohort == cohortName {
			fmt.Fprintf(w, "attrition   %s: %s kept, %s dropped: %s\n", s.Name, s.Kept, s.Left, s.Rule)
		}
	}
}
