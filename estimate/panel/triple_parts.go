package panel

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// PartCount is how many units of a cohort there are, and how many of them are seen as eligible and as not: most often both.
type PartCount struct {
	Group                   int // 0 = never treated
	Units, Eligible, Others int
}

// Parts counts the units of triple differences by cohort, never treated last; nil for other methods, which have no parts.
func (r *GroupTimeResult) Parts() []PartCount { return r.parts }

// countParts counts the units of the parts that were kept, by the cohorts of the split frame.
func countParts(f *Frame, kept []string) []PartCount {
	cohort := make(map[string]int, len(kept))
	for i, part := range f.Unit {
		cohort[part] = f.Cohort[i]
	}
	of, units := map[int]*PartCount{}, map[string]bool{}
	for _, part := range kept {
		g := cohort[part]
		c := of[g]
		if c == nil {
			c = &PartCount{Group: g}
			of[g] = c
		}
		unit, mark, _ := strings.Cut(part, partMark)
		if !units[unit] {
			units[unit] = true
			c.Units++
		}
		if mark == "1" {
			c.Eligible++
		} else {
			c.Others++
		}
	}
	out := []PartCount{}
	for _, g := range slices.Sorted(maps.Keys(of)) {
		out = append(out, *of[g])
	}
	if len(out) > 0 && out[0].Group == 0 {
		out = append(out[1:], out[0])
	}
	return out
}

// eligibleOf says whether a row of the split frame is of an eligible part: its name says so.
func (d *Triple) eligibleOf(f *Frame, i int) bool { return f.Unit[i][len(f.Unit[i])-1] == '1' }

// split names each part of a unit by itself and clusters the parts; units treated from the first period on are left out.
func (d *Triple) split(f *Frame) (*Frame, []int, []table.Note, error) {
	first, last := slices.Min(f.Time), slices.Max(f.Time)
	out := &Frame{XNames: f.XNames, Level: f.Level}
	always, rows, others := map[string]bool{}, 0, false
	var keep []int
	for i, c := range f.Cohort {
		if c != 0 && c <= first {
			always[f.Unit[i]] = true
			rows++
			continue
		}
		keep = append(keep, i)
		others = others || !d.Eligible[i]
	}
	var notes []table.Note
	if rows > 0 {
		notes = append(notes, table.Note{Code: "always-treated-dropped", Args: map[string]any{"units": len(always), "rows": rows},
			Text: fmt.Sprintf("%d units (%d rows) treated from the first period or before it have no untreated period and were left out.", len(always), rows)})
	}
	if !others || len(keep) == 0 {
		return nil, nil, nil, fmt.Errorf("%w: no unit or part of one is not eligible; without it use difference-in-differences", estimate.ErrNoControls)
	}
	if f.X != nil {
		_, k := f.X.Dims()
		out.X = mat.NewDense(len(keep), k, nil)
	}
	seen, cohortOf := map[int]bool{}, map[string]int{}
	var cohorts []int
	for at, i := range keep {
		mark := "0"
		if d.Eligible[i] {
			mark = "1"
		}
		cluster := f.Unit[i]
		if f.Cluster != nil {
			cluster = f.Cluster[i]
		}
		if was, ok := cohortOf[f.Unit[i]]; ok && was != f.Cohort[i] {
			return nil, nil, nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: both parts of a unit have its cohort, in all rows", ErrCohortChanges)}
		}
		cohortOf[f.Unit[i]] = f.Cohort[i]
		out.Unit, out.Time, out.Y = append(out.Unit, f.Unit[i]+partMark+mark), append(out.Time, f.Time[i]), append(out.Y, f.Y[i])
		out.Cohort, out.Cluster = append(out.Cohort, f.Cohort[i]), append(out.Cluster, cluster)
		if f.Weight != nil {
			out.Weight = append(out.Weight, f.Weight[i])
		}
		if out.X != nil {
			out.X.SetRow(at, f.X.RawRowView(i))
		}
		if c := f.Cohort[i]; !seen[c] {
			seen[c] = true
			if c != 0 && c <= last+d.Anticipation {
				cohorts = append(cohorts, c)
			}
		}
	}
	slices.Sort(cohorts)
	return out, cohorts, notes, nil
}

// pickRows copies rows of a frame.
func pickRows(f *Frame, rows []int) *Frame {
	out := &Frame{XNames: f.XNames, Level: f.Level}
	if f.X != nil {
		_, k := f.X.Dims()
		out.X = mat.NewDense(len(rows), k, nil)
	}
	for at, i := range rows {
		out.Unit, out.Time, out.Cohort, out.Y = append(out.Unit, f.Unit[i]), append(out.Time, f.Time[i]), append(out.Cohort, f.Cohort[i]), append(out.Y, f.Y[i])
		if f.Weight != nil {
			out.Weight = append(out.Weight, f.Weight[i])
		}
		if f.Cluster != nil {
			out.Cluster = append(out.Cluster, f.Cluster[i])
		}
		if out.X != nil {
			out.X.SetRow(at, f.X.RawRowView(i))
		}
	}
	return out
}
