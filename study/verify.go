package study

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Verification is what [Verify] found, level by level.
type Verification struct {
	Study    string
	Numbers  int
	Levels   []Level
	Problems []string // empty = verified
}

// Level is one claim that was tested.
type Level struct {
	Name string // "V0 files", …
	Text string
	OK   bool
}

// Err is nil where everything holds, and wraps [ErrDiffers] otherwise.
func (v *Verification) Err() error {
	if len(v.Problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDiffers, strings.Join(v.Problems, "\n"))
}

// Verify tests a bundle. Without a data folder: the files are those of the manifest
// (V0), the study file is the one that was run (V1), and the bundle agrees with
// itself — every number in results.jsonl with its digest and with estimates.csv,
// every figure with its data. With a data folder the study is run again and compared
// number by number (V2 byte-identical, V3 within tolerance).
func Verify(ctx context.Context, bundle, dataDir string, o Options) (*Verification, error) {
	fsys, done, err := openBundle(bundle)
	if err != nil {
		return nil, err
	}
	defer done()
	v := &Verification{}
	b, err := fs.ReadFile(fsys, manifestFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not a bundle: it has no %s", ErrInput, bundle, manifestFile)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, err
	}
	v.Study, v.Numbers = m.Study, m.Numbers
	v.level("V0 files", "the files are those the manifest lists, byte for byte", checkFiles(fsys, m))
	v.level("V1 study", "the study file is the one that was run", checkSpecFile(fsys, m))
	v.level("V1 manifest", "the manifest is about this study and these numbers", checkManifest(fsys, m))
	v.level("V1 plan", "the plan is the one that was locked, and every number says where it stands towards it", checkPlan(fsys, m))
	v.level("consistency", "every number agrees with its digest, with estimates.csv and with its own interval", checkNumbers(fsys, m))
	if dataDir == "" {
		return v, nil
	}
	if err := v.rerun(ctx, fsys, m, dataDir, o); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Verification) level(name, text string, problems []string) {
	v.Levels = append(v.Levels, Level{name, text, len(problems) == 0})
	v.Problems = append(v.Problems, problems...)
}

func checkFiles(fsys fs.FS, m *Manifest) []string {
	var out []string
	listed := map[string]bool{manifestFile: true}
	for _, f := range m.Outputs {
		listed[f.File] = true
		b, err := fs.ReadFile(fsys, f.File)
		switch {
		case err != nil:
			out = append(out, fmt.Sprintf("%s: listed in the manifest, cannot be read", f.File))
		case digest(b) != f.SHA256:
			out = append(out, fmt.Sprintf("%s: its content has changed since the run", f.File))
		}
	}
	fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !listed[p] {
			out = append(out, fmt.Sprintf("%s: not listed in the manifest", p))
		}
		return nil
	})
	return out
}

func checkSpecFile(fsys fs.FS, m *Manifest) []string {
	b, err := fs.ReadFile(fsys, specFile)
	if err != nil {
		return []string{specFile + ": cannot be read"}
	}
	if digest(b) != m.Spec {
		return []string{specFile + ": is not the study file that was run"}
	}
	if _, err := Parse(specFile, bytes.NewReader(b)); err != nil {
		return []string{fmt.Sprintf("%s: %v", specFile, err)}
	}
	return nil
}

// checkManifest compares what the manifest says of the study with the files beside it.
func checkManifest(fsys fs.FS, m *Manifest) []string {
	var out []string
	if m.Numbers != len(m.Digests) {
		out = append(out, fmt.Sprintf("%s: numbers says %d, and there are digests of %d", manifestFile, m.Numbers, len(m.Digests)))
	}
	listed := map[string]bool{}
	for _, f := range m.Outputs {
		listed[f.File] = true
	}
	for _, name := range []string{specFile, resultsFile, csvFile, attritionCSV, balanceCSV, strataCSV, featuresCSV, trialFile, reportFile, protocolFile} {
		if !listed[name] {
			out = append(out, fmt.Sprintf("%s: does not list %s, which is a part of every bundle", manifestFile, name))
		}
	}
	b, err := fs.ReadFile(fsys, specFile)
	if err != nil {
		return out // checkSpecFile says so
	}
	spec, err := Parse(specFile, bytes.NewReader(b))
	if err != nil {
		return out
	}
	if m.Study != spec.Name || m.Seed != spec.Seed {
		out = append(out, fmt.Sprintf("%s: study or seed is not that of %s", manifestFile, specFile))
	}
	return out
}

// sameFiles compares the files of the bundle, and what its manifest says, with those of
// the second run: those of numbers always, and those drawn or written out (figures,
// report) where the same program ran.
func sameFiles(a, b *Manifest) []string {
	var out []string
	again := map[string]string{}
	for _, f := range b.Outputs {
		again[f.File] = f.SHA256
	}
	for _, f := range a.Outputs {
		sum, ok := again[f.File]
		delete(again, f.File)
		ext := path.Ext(f.File)
		numbers := ext == ".csv" || ext == ".json" || ext == ".jsonl"
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("%s: run again, the study has no such file", f.File))
		case sum != f.SHA256 && (numbers || (a.Build == b.Build && f.File != reportFile)):
			out = append(out, fmt.Sprintf("%s: run again, its content is another", f.File))
		}
	}
	for _, name := range sortedKeys(again) {
		out = append(out, fmt.Sprintf("%s: missing: the study run again has it", name))
	}
	if !slices.Equal(a.Steps, b.Steps) {
		out = append(out, fmt.Sprintf("%s: its attrition is not that of the study run again", manifestFile))
	}
	return out
}

// checkNumbers compares each record with its digest and with estimates.csv.
func checkNumbers(fsys fs.FS, m *Manifest) []string {
	b, err := fs.ReadFile(fsys, resultsFile)
	if err != nil {
		return []string{resultsFile + ": cannot be read"}
	}
	records, err := readResults(b)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	twin, err := readEstimates(fsys)
	if err != nil {
		out = append(out, err.Error())
	}
	seen := map[string]bool{}
	for _, r := range records {
		if seen[r.Address] {
			out = append(out, fmt.Sprintf("%s: the number is in results.jsonl twice", r.Address))
		}
		seen[r.Address] = true
		d, err := numberDigest(r)
		if err != nil || d != m.Digests[r.Address] {
			out = append(out, fmt.Sprintf("%s: the number is not the one the run gave%s", r.Address, against(r, twin)))
		} else if t, ok := twin[r.Address]; twin != nil && (!ok || strings.Join(t, "\x00") != strings.Join(safeCells(r), "\x00")) {
			out = append(out, fmt.Sprintf("%s: results.jsonl and estimates.csv do not agree", r.Address))
		}
		if r.Estimate != nil && r.ConfLow != nil && r.ConfHigh != nil && !(*r.ConfLow <= *r.Estimate && *r.Estimate <= *r.ConfHigh) {
			out = append(out, fmt.Sprintf("%s: the estimate lies outside its own interval", r.Address))
		}
	}
	for _, addr := range sortedKeys(m.Digests) {
		if !seen[addr] {
			out = append(out, fmt.Sprintf("%s: the number is missing from results.jsonl", addr))
		}
	}
	return append(out, checkFigures(fsys)...)
}

func safeCells(r Record) []string {
	cells := r.cells()
	for i := range cells {
		cells[i] = safeCell(cells[i])
	}
	return cells
}

// against says which cell of a changed record differs from estimates.csv.
func against(r Record, twin map[string][]string) string {
	t, ok := twin[r.Address]
	if !ok {
		return ""
	}
	for i, c := range safeCells(r) {
		if c != t[i] {
			return fmt.Sprintf(": %s is %s in results.jsonl and %s in estimates.csv", csvHeader[i], c, t[i])
		}
	}
	return ""
}

func readEstimates(fsys fs.FS) (map[string][]string, error) {
	b, err := fs.ReadFile(fsys, csvFile)
	if err != nil {
		return nil, errors.New(csvFile + ": cannot be read")
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(rows) == 0 || strings.Join(rows[0], ",") != strings.Join(csvHeader, ",") {
		return nil, errors.New(csvFile + ": is not a table of estimates")
	}
	out := map[string][]string{}
	for _, r := range rows[1:] {
		out[r[0]] = r
	}
	return out, nil
}

// checkFigures tests that each figure has all its forms and the data it drew.
func checkFigures(fsys fs.FS) []string {
	files, err := fs.Glob(fsys, figuresDir+"/*")
	if err != nil {
		return []string{err.Error()}
	}
	forms := map[string]map[string]bool{}
	for _, f := range files {
		ext := path.Ext(f)
		stem := strings.TrimSuffix(f, ext)
		if forms[stem] == nil {
			forms[stem] = map[string]bool{}
		}
		forms[stem][ext] = true
	}
	var out []string
	for _, stem := range sortedKeys(forms) {
		for _, ext := range []string{".png", ".svg", ".pdf", ".csv"} {
			if !forms[stem][ext] {
				out = append(out, fmt.Sprintf("%s%s: missing", stem, ext))
			}
		}
	}
	return out
}

// rerun runs the bundle's own study on the data and compares.
func (v *Verification) rerun(ctx context.Context, fsys fs.FS, m *Manifest, dataDir string, o Options) error {
	b, err := fs.ReadFile(fsys, specFile)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDiffers, specFile, err)
	}
	spec, err := Parse(specFile, bytes.NewReader(b))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "utfall-verify-")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	defer os.RemoveAll(dir)
	o.DataDir, o.OutDir, o.LockFile, o.Resume = dataDir, filepath.Join(dir, "bundle"), "", false
	if m.Plan.Lock != "" {
		if o.plan, err = fs.ReadFile(fsys, lockFile); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDiffers, lockFile, err)
		}
	}
	if _, err := Run(ctx, spec, o); err != nil {
		return err
	}
	again, err := os.ReadFile(filepath.Join(o.OutDir, resultsFile))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	mine, err := os.ReadFile(filepath.Join(o.OutDir, manifestFile))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	rerun, err := decodeManifest(mine)
	if err != nil {
		return err
	}
	v.level("V1 data", "the data have the rows of the original run", sameInputs(m, rerun))
	before, err := fs.ReadFile(fsys, resultsFile)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	if bytes.Equal(before, again) {
		v.level("V2 rerun", "run again on the data: every number is the same, byte for byte", nil)
		v.level("V2 files", "run again on the data: tables and figures are the same", sameFiles(m, rerun))
		return nil
	}
	a, err := readResults(before)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	n, err := readResults(again)
	if err != nil {
		return err
	}
	var problems []string
	within := 0
	for _, c := range compare(a, n) {
		switch c.Verdict {
		case Within:
			within++
		case Same:
		default:
			problems = append(problems, strings.TrimSuffix(fmt.Sprintf("%s: %s when run again: %s", c.Address, c.Verdict, c.What), ": "))
		}
	}
	v.level("V3 rerun", fmt.Sprintf("run again on the data: %d numbers within a relative tolerance of %g, the others the same", within, Tolerance), problems)
	return nil
}

// sameInputs compares the data by their logical hash: row order and file format do not matter.
func sameInputs(a, b *Manifest) []string {
	in := map[string]InputFile{}
	for _, f := range b.Inputs {
		in[f.Name] = f
	}
	var out []string
	for _, f := range a.Inputs {
		if g := in[f.Name]; g.Logical == f.Logical && (g.Rows != f.Rows || g.Kept != f.Kept || g.Rejected != f.Rejected) {
			out = append(out, fmt.Sprintf("data %s: the manifest's counts of rows are not those of the data", f.Name))
		} else if g.Logical != f.Logical {
			out = append(out, fmt.Sprintf("data %s: %s rows kept and %s in the original run; their content differs", f.Name, g.Kept, f.Kept))
		}
	}
	sort.Strings(out)
	return out
}
