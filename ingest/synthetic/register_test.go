package synthetic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/text/encoding/charmap"

	"utfall/internal/reftest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// shared is one register of 20,000 people that several tests read.
var shared struct {
	once  sync.Once
	dir   string
	truth *Truth
	err   error
}

func register(t *testing.T) (string, *Truth) {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "synthetic"); shared.err == nil {
			shared.truth, shared.err = Write(context.Background(), filepath.Join(shared.dir, "r"), Options{People: 20_000, Seed: 1}, nil)
		}
	})
	require.NoError(t, shared.err)
	return filepath.Join(shared.dir, "r"), shared.truth
}

func write(t *testing.T, o Options) (string, *Truth) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r")
	truth, err := Write(t.Context(), dir, o, nil)
	require.NoError(t, err)
	return dir, truth
}

// rows reads a file of the register as UTF-8, without the header.
func rows(t *testing.T, dir, name string) [][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	text, err := charmap.Windows1252.NewDecoder().Bytes(b)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	out := make([][]string, 0, len(lines)-1)
	for _, line := range lines[1:] {
		out = append(out, strings.Split(line, ";"))
	}
	return out
}

func monthOf(t *testing.T, date string) int {
	t.Helper()
	require.Len(t, date, 10)
	y, err := strconv.Atoi(date[:4])
	require.NoError(t, err)
	m, err := strconv.Atoi(date[5:7])
	require.NoError(t, err)
	require.Equal(t, "01", date[8:])
	return (y-FirstYear)*12 + m - 1
}

var allFiles = []string{
	"people.csv", "spells.csv", "participations.csv", "assessments.csv", "anonymous.csv",
	"municipalities.csv", "costs.csv", "ladder.yaml", "truth.json",
}

func TestSameBytesForAnyWorkers(t *testing.T) {
	o := Options{People: 5000, Seed: 7, Dirty: true, Workers: 1}
	one, _ := write(t, o)
	o.Workers = 8
	eight, _ := write(t, o)
	o.Seed = 8
	other, _ := write(t, o)
	for _, name := range allFiles {
		a, err := os.ReadFile(filepath.Join(one, name))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(eight, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(a, b), "%s differs between 1 and 8 workers", name)
		c, err := os.ReadFile(filepath.Join(other, name))
		require.NoError(t, err)
		require.Equal(t, name == "ladder.yaml", bytes.Equal(a, c), "%s: another seed", name)
	}
}

// The people of a smaller register are the first people of a larger one: a person
// depends on nobody else.
func TestPeopleAreIndependentOfHowMany(t *testing.T) {
	small, _ := write(t, Options{People: 300, Seed: 3})
	large, _ := write(t, Options{People: 2500, Seed: 3})
	for _, name := range []string{"people.csv", "spells.csv", "participations.csv", "assessments.csv"} {
		a, err := os.ReadFile(filepath.Join(small, name))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(large, name))
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(b, a), name)
	}
}

func TestFilesAreWhatTheHeadersSay(t *testing.T) {
	dir, truth := register(t)
	columns := map[string]string{
		"people.csv": peopleHeader, "spells.csv": spellsHeader, "participations.csv": participationHeader,
		"assessments.csv": assessmentHeader, "anonymous.csv": anonymousHeader, "municipalities.csv": municipalHeader,
		"costs.csv": "forbund;year;payer;amount",
	}
	for name, header := range columns {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(b, []byte(header+"\n")), name)
		list := rows(t, dir, name)
		require.EqualValues(t, truth.Rows[name], len(list), name)
		for _, row := range list {
			require.Len(t, row, len(strings.Split(header, ";")), name)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "participations.csv"))
	require.NoError(t, err)
	require.Contains(t, string(b), "F\xf6rbund", "Windows-1252 ö")
	require.Contains(t, string(b), "v\xe4gledning")
	var read Truth
	b, err = os.ReadFile(filepath.Join(dir, "truth.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &read))
	again, err := json.MarshalIndent(&read, "", " ")
	require.NoError(t, err)
	require.Equal(t, string(b), string(again)+"\n", "truth.json reads back as it was written")
	b, err = os.ReadFile(filepath.Join(dir, "ladder.yaml"))
	require.NoError(t, err)
	for name, step := range Ladder() {
		require.Contains(t, string(b), "  "+name+": "+strconv.Itoa(step)+"\n")
	}
}

// lives reads the month-by-month state of everybody who has rows.
func lives(t *testing.T, dir string, months int) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, row := range rows(t, dir, "spells.csv") {
		from, to := monthOf(t, row[3]), monthOf(t, row[4])
		require.Equal(t, from, len(out[row[0]]), "spells of a person touch and do not overlap")
		require.Less(t, from, to)
		for range to - from {
			out[row[0]] = append(out[row[0]], row[1])
		}
	}
	for id, life := range out {
		require.Len(t, life, months, id)
	}
	return out
}

// The truth comes from the simulator; the same numbers for what did happen come out
// of the files by another way.
func TestFilesAgreeWithTruth(t *testing.T) {
	dir, truth := register(t)
	months := 120
	life := lives(t, dir, months)
	anonymous := map[string]bool{}
	birth := map[string]int{}
	for _, row := range rows(t, dir, "people.csv") {
		anonymous[row[0]] = row[7] == "1"
		birth[row[0]], _ = strconv.Atoi(row[1])
		require.Equal(t, row[7] == "0", life[row[0]] != nil, "only anonymous people have no spells")
		if l := life[row[0]]; l != nil && row[9] != "data-end" {
			end := monthOf(t, row[8])
			require.Equal(t, row[9], l[end], "the end is the first month in the absorbing state")
			require.NotEqual(t, row[9], l[end-1])
			require.Equal(t, row[9], l[months-1])
		}
	}
	first := map[string]int{}
	repeats := map[string]int{}
	for _, row := range rows(t, dir, "participations.csv") {
		require.False(t, anonymous[row[0]])
		start := monthOf(t, row[3])
		if _, ok := first[row[0]]; !ok {
			first[row[0]] = start
		}
		repeats[row[0]]++
		require.Equal(t, row[4] == "", row[5] == "", "an end and a reason, or neither")
		if row[4] != "" {
			end := monthOf(t, row[4])
			ended := life[row[0]][min(end, months-1)]
			if n := end - start; !strings.Contains("death emigration age-pension", ended) {
				require.True(t, n >= 6 && n <= 18, "%d months", n)
			}
		}
	}
	var n, before24, before1, after12, after24, study, studyAfter int64
	for id, m := range first {
		if m+horizon >= months {
			continue
		}
		n++
		is := func(m int) int64 { return int64(indicator(life[id][m] == "work")) }
		before24, before1, after12, after24 = before24+is(m-24), before1+is(m-1), after12+is(m+12), after24+is(m+24)
		if age := FirstYear + m/12 - birth[id]; m >= 36 && m <= 71 && age >= 20 && age <= 62 {
			study++
			studyAfter += is(m + 24)
		}
	}
	g := truth.Consenting.Overall
	require.Equal(t, g.Participants, n)
	require.Equal(t, g.Naive.WorkBefore24, share(before24, n))
	require.Equal(t, g.Naive.WorkBefore1, share(before1, n))
	require.Equal(t, g.VersusNever.Work24With, share(after24, n))
	require.Equal(t, truth.StudyPopulation.Overall.Participants, study)
	require.Equal(t, truth.StudyPopulation.Overall.VersusNever.Work24With, share(studyAfter, study))
	require.EqualValues(t, truth.Counts.Participants-truth.Counts.AnonymousParticipants, len(first))
}

func TestCheckSaysEverythingAtOnce(t *testing.T) {
	require.NoError(t, Options{}.Check())
	err := Options{People: -1, Years: 3, Scenario: "wishful"}.Check()
	require.ErrorIs(t, err, ErrOptions)
	for _, part := range []string{"people", "years", `"wishful"`, "finsam, null, progress-only, shuffle, surrogacy-failure"} {
		require.ErrorContains(t, err, part)
	}
	_, err = Write(t.Context(), filepath.Join(t.TempDir(), "r"), Options{Scenario: "x"}, nil)
	require.ErrorIs(t, err, ErrOptions)
	require.Error(t, Options{People: maxPeople + 1}.Check())
}

func TestNothingIsOverwrittenAndNothingHalfWritten(t *testing.T) {
	defer goleak.VerifyNone(t)
	base := t.TempDir()
	dir := filepath.Join(base, "r")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine.txt"), []byte("keep"), 0o600))
	_, err := Write(t.Context(), dir, Options{People: 10}, nil)
	require.ErrorIs(t, err, ErrExists)
	require.NoError(t, os.Remove(filepath.Join(dir, "mine.txt")))
	_, err = Write(t.Context(), dir, Options{People: 10}, nil)
	require.NoError(t, err, "an empty folder is filled")
	require.NoError(t, os.RemoveAll(dir))

	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err = Write(ctx, dir, Options{People: 50_000}, func(done, total int) {
		if calls++; calls == 3 {
			require.Equal(t, 3*batchSize, done)
			require.Equal(t, 50_000, total)
			cancel()
		}
	})
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
	left, err := os.ReadDir(base)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestProgressReachesTheEnd(t *testing.T) {
	last := 0
	_, err := Write(t.Context(), filepath.Join(t.TempDir(), "r"), Options{People: 3000, Years: 5}, func(done, total int) {
		require.Greater(t, done, last)
		require.Equal(t, 3000, total)
		last = done
	})
	require.NoError(t, err)
	require.Equal(t, 3000, last)
}

func TestShortAndLongRegisters(t *testing.T) {
	_, short := write(t, Options{People: 2000, Years: 5, Seed: 2})
	require.Equal(t, "2015-01-01", short.Options.DataEnd)
	require.Zero(t, short.Participants.ByYear["2013"].Participants, "no follow-up")
	require.Positive(t, short.Participants.Overall.Participants)
	_, long := write(t, Options{People: 500, Years: 30, Seed: 2})
	require.Positive(t, long.Counts.AgePensions)
	_, one := write(t, Options{People: 1, Years: 5})
	require.EqualValues(t, 1, one.Rows["people.csv"])
	reftest.Near(t, "no participants, no number", indicator(one.Participants.Overall.VersusNever.Work24 != one.Participants.Overall.VersusNever.Work24), 1, 0)
}

func BenchmarkWrite50000(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		dir := filepath.Join(b.TempDir(), "r")
		if _, err := Write(b.Context(), dir, Options{Seed: 1}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
