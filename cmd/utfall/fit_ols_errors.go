package main

import (
	"fmt"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/effect"
)

// fitErrors are the flags about the errors of a regression.
type fitErrors struct {
	f                *flagSet
	vcov             string
	cluster, conley  []string
	cutoff           float64
	kernel, patterns string
	replicates       int
	seed             uint64
	kinds            []string
}

func (m *fitErrors) flags(f *flagSet, missing ...string) {
	m.f = f
	for _, k := range append(slices.Clone(vcovKinds), "wild", "conley") {
		if !slices.Contains(missing, k) {
			m.kinds = append(m.kinds, k)
		}
	}
	f.text(&m.vcov, "vcov", "", "covariance: "+strings.Join(m.kinds, ", ")+" (default: cr1 with --cluster, hc1 with weights, conley with --conley, else iid)")
	f.list(&m.cluster, "cluster", "`columns`: rows with the same value are dependent; two columns are two ways of clustering")
	f.list(&m.conley, "conley", "`columns` of latitude and longitude in degrees: rows near each other are dependent")
	f.number(&m.cutoff, "cutoff", 0, "distance in km beyond which --conley takes rows as independent")
	f.text(&m.kernel, "kernel", "uniform", "how dependence falls with distance: uniform or bartlett")
	if slices.Contains(m.kinds, "wild") {
		f.text(&m.patterns, "wild-weights", "rademacher", "draws of the wild bootstrap: rademacher or webb")
		f.whole(&m.replicates, "replicates", 9999, "draws of the wild bootstrap; fewer sign patterns are all enumerated")
		f.seed(&m.seed, "of the wild bootstrap's draws")
	}
}

func (m *fitErrors) columns(c *fitColumns) {
	for _, n := range m.cluster {
		c.add("cluster", n)
	}
	for _, n := range m.conley {
		c.add("conley", n)
	}
}

func (m *fitErrors) check(w fitWeights) (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	if m.vcov == "" && len(m.conley) > 0 && len(m.cluster) == 0 {
		m.vcov = "conley"
	}
	known := oneOf("vcov", m.vcov, m.kinds...)
	problems = append(append(problems, known...), oneOf("kernel", m.kernel, "uniform", "bartlett")...)
	byCluster := strings.HasPrefix(m.vcov, "cr") || m.vcov == "jackknife" || m.vcov == "wild"
	switch {
	case len(known) > 0:
	case byCluster && len(m.cluster) == 0:
		bad("--vcov %s needs --cluster", m.vcov)
	case m.vcov != "" && !byCluster && len(m.cluster) > 0:
		bad("--vcov %s does not use --cluster", m.vcov)
	case w.kind == precision && m.vcov != "iid":
		bad("--weight-kind precision goes with --vcov iid; leave it out")
	case m.vcov == "iid" && w.column != "" && w.kind != string(estimate.Frequency) && w.kind != precision:
		bad("--vcov iid has no meaning with %s weights; use hc1 or a clustered one", w.kind)
	case len(m.cluster) == 2 && m.vcov != "" && m.vcov != "cr0" && m.vcov != "cr1":
		bad("--cluster with two columns goes with --vcov cr0 or cr1, not with %s", m.vcov)
	}
	if len(m.cluster) > 2 {
		bad("--cluster with more than two columns is not built; give one or two")
	}
	switch {
	case m.vcov == "conley" && len(m.conley) != 2:
		bad("--conley needs two columns: latitude and longitude")
	case m.vcov != "conley" && len(m.conley) > 0:
		bad("--conley goes with --vcov conley and without --cluster")
	case m.vcov == "conley" && !(m.cutoff > 0):
		bad("--conley needs --cutoff, a distance in km above 0")
	}
	for _, n := range []string{"cutoff", "kernel"} {
		if m.vcov != "conley" && m.f.given(n) {
			bad("--%s goes with --conley", n)
		}
	}
	if !slices.Contains(m.kinds, "wild") {
		return problems
	}
	problems = append(problems, oneOf("wild-weights", m.patterns, "rademacher", "webb")...)
	for _, n := range []string{"wild-weights", "replicates", "seed"} {
		if m.vcov != "wild" && m.f.given(n) {
			bad("--%s goes with --vcov wild", n)
		}
	}
	if m.vcov == "wild" && (m.replicates < 99 || m.replicates > 1<<22) {
		bad("--replicates must be between 99 and %d", 1<<22)
	}
	return problems
}

// read hands clusters and places to the frame and gives the rest.
func (m *fitErrors) read(d *fitData, f *estimate.Frame) (second []int, conley *effect.Conley, wild effect.WildBootstrap, err error) {
	for i, n := range m.cluster {
		codes, _, err := d.codes(n)
		if err != nil {
			return nil, nil, wild, err
		}
		if i == 0 {
			f.Cluster = codes
		} else {
			second = codes
		}
	}
	if m.vcov == "conley" {
		conley = &effect.Conley{Cutoff: m.cutoff, Bartlett: m.kernel == "bartlett"}
		if conley.Lat, err = d.numbers(m.conley[0]); err != nil {
			return nil, nil, wild, err
		}
		if conley.Lon, err = d.numbers(m.conley[1]); err != nil {
			return nil, nil, wild, err
		}
	}
	if m.vcov == "wild" {
		wild = effect.WildBootstrap{Replicates: m.replicates, Webb: m.patterns == "webb", Seed: m.seed}
	}
	return second, conley, wild, nil
}

// describeClusters adds the table of how many clusters each coefficient rests on.
func describeClusters(out *fitOutput) {
	effective, ok := out.details["effective_clusters"].(map[string]float64)
	if !ok {
		return
	}
	independent, _ := out.details["effective_clusters_independent"].(map[string]float64)
	t := fitTable{title: "Clusters", header: []string{"term", "effective", "if independent within"}}
	for _, e := range out.estimates {
		if v, ok := effective[e.Term]; ok {
			t.rows = append(t.rows, []any{e.Term, v, independent[e.Term]})
		}
	}
	out.tables = append(out.tables, t)
	lever, _ := out.details["leverage"].(map[string]float64)
	out.tables = append(out.tables, fitTable{title: "Leverage", header: []string{"", "largest row", "largest cluster", "mean cluster"},
		rows: [][]any{{"", lever["row_max"], lever["cluster_max"], lever["cluster_mean"]}}})
}
