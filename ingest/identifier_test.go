package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pnr makes a valid number from its first nine digits.
func pnr(nine string) string {
	sum := 0
	for i, c := range nine {
		x := int(c - '0')
		if i%2 == 0 {
			if x *= 2; x > 9 {
				x -= 9
			}
		}
		sum += x
	}
	return nine + fmt.Sprint((10-sum%10)%10)
}

func TestForms(t *testing.T) {
	// 811218-9876 is the number in the Tax Agency's own description of the check digit.
	for text, valid := range map[string]bool{
		"8112189876": true, "811218-9876": true, "811218+9876": true, "198112189876": true, "19811218-9876": true, "811218 9876": true,
		"8112189875": false, "811218-9875": false, "8113189876": false, "811232-9876": false, "218112189876": false, "81121898": false,
		"8112-189876": false, "81121898760": false, "5560360793": false, // an organisation: month 60
	} {
		require.Equal(t, valid, kindOf([]byte(text)).valid, text)
	}
	// co-ordination number: day + 60; interim number: a letter that counts as 1
	require.True(t, kindOf([]byte(pnr("701063239"))).valid)
	n := pnr("811218123")
	require.True(t, kindOf([]byte(n[:6]+"-T"+n[7:])).valid)
	require.False(t, kindOf([]byte(n[:6]+"-Q"+n[7:])).valid)
}

// Columns of identity numbers are refused, of other numbers are not; nothing is echoed.
func TestIdentifiersInColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	day := func() string { return fmt.Sprintf("%02d%02d%02d", r.IntN(100), 1+r.IntN(12), 1+r.IntN(28)) }
	for _, c := range []struct {
		name   string
		typ    string
		make   func() string
		refuse bool
	}{
		{"ten digits", "text", func() string { return pnr(day() + fmt.Sprintf("%03d", r.IntN(1000))) }, true},
		{"twelve digits", "text", func() string { return "19" + pnr(day()+fmt.Sprintf("%03d", r.IntN(1000))) }, true},
		{"signed", "text", func() string { n := pnr(day() + fmt.Sprintf("%03d", r.IntN(1000))); return n[:6] + "-" + n[6:] }, true},
		{"as integers", "integer", func() string { return pnr(day() + fmt.Sprintf("%03d", r.IntN(1000))) }, true},
		{"as numbers", "number", func() string { return "19" + pnr(day()+fmt.Sprintf("%03d", r.IntN(1000))) }, true},
		{"as category", "category", func() string { return pnr(day() + fmt.Sprintf("%03d", r.IntN(1000))) }, true},
		{"one in ten", "text", func() string {
			if r.IntN(10) > 0 {
				return fmt.Sprint("L", r.IntN(100000))
			}
			return pnr(day() + fmt.Sprintf("%03d", r.IntN(1000)))
		}, true},
		{"in free text", "text", func() string { return "ringde om 19" + pnr(day()+"123") + " igen" }, true},
		{"random ten digits", "text", func() string { return fmt.Sprintf("%010d", r.Int64N(1e10)) }, false},
		{"random twelve digits", "text", func() string { return fmt.Sprintf("%012d", r.Int64N(1e12)) }, false},
		{"running numbers from a date", "text", func() string { return fmt.Sprintf("850101%04d", r.IntN(10000)) }, false},
		{"case numbers", "text", func() string { return fmt.Sprintf("20150101-%04d", r.IntN(10000)) }, false},
		{"amounts", "number", func() string { return fmt.Sprintf("%d.5", r.IntN(1_000_000)) }, false},
	} {
		var b strings.Builder
		b.WriteString("id\n")
		values := map[string]bool{}
		for range 2000 {
			v := c.make()
			values[v] = true
			b.WriteString(v + "\n")
		}
		src := Source{Path: "f.csv", Separator: ";", Decimal: "point", Columns: []Column{{Name: "id", Type: c.typ}}}
		_, err := Read(context.Background(), dataFile(t, "f.csv", b.String()), src, Options{})
		if !c.refuse {
			require.NoError(t, err, c.name)
			continue
		}
		require.ErrorIs(t, err, ErrIdentifier, c.name)
		require.ErrorIs(t, err, ErrInput, c.name)
		require.ErrorContains(t, err, `f.csv: column "id": the column looks like personal identity numbers`, c.name)
		for v := range values {
			require.False(t, strings.Contains(err.Error(), v))
		}
	}
}

func TestIdentifiersInNames(t *testing.T) {
	n := pnr("811218987")
	_, err := ReadFlat(context.Background(), dataFile(t, "a.csv", "x,v"+n+"\n1,2\n3,4\n"), FlatOptions{Separator: ","})
	require.ErrorIs(t, err, ErrIdentifier)
	require.ErrorContains(t, err, "a.csv: the name of column 2 holds")
	_, err = ReadFlat(context.Background(), dataFile(t, "a.csv", "x,"+n[:6]+"-"+n[6:]+"\n1,2\na,4\n"), FlatOptions{})
	require.ErrorIs(t, err, ErrIdentifier)
	require.NotContains(t, err.Error(), n[6:])
	dir := t.TempDir()
	path := filepath.Join(dir, "akt "+n+".csv")
	require.NoError(t, os.WriteFile(path, []byte("x,y\na,2\n"), 0o600))
	_, err = ReadFlat(context.Background(), path, FlatOptions{})
	require.True(t, errors.Is(err, ErrIdentifier))
	require.NotContains(t, err.Error(), n)
}
