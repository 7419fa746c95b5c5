package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Weights that are no binary fractions are added up in an order that the file does not decide: the same bytes for any order of its rows.
func TestFitTraitWeightedRowOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const header = "id,a,b,c,w\n"
	var rows []string
	for i := range 400 {
		row := fmt.Sprintf("p%03d", i)
		level := rng.NormFloat64()
		for range 3 {
			row += "," + string("012"[min(2, max(0, int(1.5+1.2*level+rng.NormFloat64())))])
		}
		rows = append(rows, row+","+[]string{"0.1", "0.7", "1.3"}[rng.IntN(3)])
	}
	for _, model := range []string{"grm", "pcm", "gpcm"} {
		args := []string{model, "--id", "id", "--items", "a,b,c", "--weights", "w"}
		want := jsonOf(t, writeTestFile(t, "d.csv", header+strings.Join(rows, "\n")+"\n"), args)
		for range 4 {
			rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			require.Equal(t, want, jsonOf(t, writeTestFile(t, "d.csv", header+strings.Join(rows, "\n")+"\n"), args), model)
		}
	}
}

// What is said of an item names it; equal slopes are not what a model that has them is told to use.
func TestFitTraitSaysWhichItem(t *testing.T) {
	var b strings.Builder
	b.WriteString("a,b,c,d\n")
	for i := range 120 { // whoever passes an item passes every easier one
		for j := range 4 {
			b.WriteString(string("01"[min(1, i%5/(j+1))]) + string(",,,\n"[j]))
		}
	}
	code, out, errOut := runFit(t, "rasch", "--data", writeTestFile(t, "d.csv", b.String()), "--items", "a,b,c,d")
	require.Equal(t, exitInput, code)
	require.Empty(t, out)
	require.Contains(t, errOut, "follow from each other")
	require.NotContains(t, errOut, "equal slopes")

	reversed := strings.NewReplacer("1,1\n", "1,0\n", "1,0\n", "1,1\n", "0,1\n", "0,0\n", "0,0\n", "0,1\n").Replace(strings.ReplaceAll(b.String(), "1,0,0,0\n", "0,1,0,0\n"))
	for _, n := range fitted(t, "pcm", "--data", writeTestFile(t, "d.csv", reversed), "--items", "a,b,c,d").Notes {
		if n.Code == "item-reversed" {
			require.Contains(t, n.Text, `"d"`)
			return
		}
	}
	t.Fatal("no note that an item goes the other way")
}
