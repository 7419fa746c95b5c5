package synthetic

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"utfall/internal/num"
)

// The person files, in the order of a batch's buffers.
const (
	peopleFile = iota
	spellsFile
	participationsFile
	assessmentsFile
	nFiles
)

var personFiles = [nFiles]struct{ name, header string }{
	{"people.csv", peopleHeader}, {"spells.csv", spellsHeader},
	{"participations.csv", participationHeader}, {"assessments.csv", assessmentHeader},
}

// batchSize is the number of people whose rows are in memory together, per worker.
const batchSize = 1024

// A batch is the text of the rows of some people, and when it is complete.
type batch struct {
	lo, hi int
	text   [nFiles][]byte
	done   chan struct{}
}

// A clerk is one worker: a simulator, what it has counted, and its rows.
type clerk struct {
	sim   simulator
	tally *tally
	dates []string
	rows  [nFiles]int64
}

func newClerk(o Options, g *geography) *clerk {
	return &clerk{sim: *newSimulator(o, g), tally: newTally(o.Years), dates: calendar(o.Years * 12)}
}

// fill simulates the people of a batch and writes their rows into its buffers.
func (c *clerk) fill(ctx context.Context, b *batch) {
	defer close(b.done)
	for i := b.lo; i < b.hi && ctx.Err() == nil; i++ {
		c.sim.simulate(i)
		c.tally.add(&c.sim)
		bad := clean
		if c.sim.o.Dirty {
			rng := num.NewStream(c.sim.o.Seed, "dirty", uint64(i))
			bad = c.chooseDefect(rng.Float(), rng.Float())
			c.tally.defects[bad]++
		}
		b.text[peopleFile] = c.appendPeople(b.text[peopleFile], bad)
		if bad == duplicatedPerson {
			b.text[peopleFile] = c.appendPeople(b.text[peopleFile], bad)
		}
		if c.sim.p.anonymous {
			continue
		}
		b.text[spellsFile] = c.appendSpells(b.text[spellsFile], bad)
		b.text[participationsFile] = c.appendParticipations(b.text[participationsFile])
		b.text[assessmentsFile] = c.appendAssessments(b.text[assessmentsFile])
	}
}

// writeRegister writes all files into dir, which exists.
func writeRegister(ctx context.Context, dir string, o Options, progress func(done, total int)) (truth *Truth, err error) {
	g := newGeography(o.Seed)
	sc, _ := findScenario(o.Scenario)
	clerks, err := writePersons(ctx, dir, o, g, progress)
	if err != nil {
		return nil, err
	}
	all := newTally(o.Years)
	rows := map[string]int64{}
	for _, c := range clerks {
		all.merge(c.tally)
		for k, n := range c.rows {
			rows[personFiles[k].name] += n
		}
	}
	panel, costs, anonymous := g.panel(sc), g.costs(all.started, o.Years), all.anonymousRows()
	rows["municipalities.csv"], rows["costs.csv"], rows["anonymous.csv"] = countRows(panel), countRows(costs), countRows(anonymous)
	truth = newTruth(o, sc, g, all, rows)
	body, err := json.MarshalIndent(truth, "", " ")
	if err != nil {
		return nil, fmt.Errorf("truth.json: %w", err)
	}
	for _, f := range []struct {
		name string
		body []byte
	}{
		{"municipalities.csv", panel}, {"costs.csv", costs}, {"anonymous.csv", anonymous},
		{"ladder.yaml", ladderFile()}, {"truth.json", append(body, '\n')},
	} {
		if err := writeWhole(dir, f.name, f.body); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return truth, ctx.Err()
}

func countRows(text []byte) int64 {
	n := int64(-1) // the header
	for _, c := range text {
		if c == '\n' {
			n++
		}
	}
	return n
}

// writePersons simulates batches of people on several workers and writes them in
// the order of people. At most three batches a worker are in memory.
func writePersons(ctx context.Context, dir string, o Options, g *geography, progress func(done, total int)) (clerks []*clerk, err error) {
	var files [nFiles]*outFile
	defer func() {
		for k, f := range files {
			if f != nil {
				if e := f.close(); err == nil && e != nil {
					err = fmt.Errorf("%s: %w", personFiles[k].name, e)
				}
			}
		}
	}()
	for k := range files {
		if files[k], err = createFile(dir, personFiles[k].name, personFiles[k].header); err != nil {
			return nil, err
		}
	}
	workers := o.Workers
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = max(1, min(workers, (o.People+batchSize-1)/batchSize))
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop() // runs before the wait: workers see it and end
	jobs := make(chan *batch)
	order := make(chan *batch, 2*workers)
	free := sync.Pool{New: func() any { return new([nFiles][]byte) }}
	for range workers {
		c := newClerk(o, g)
		clerks = append(clerks, c)
		wg.Go(func() {
			for b := range jobs {
				c.fill(ctx, b)
			}
		})
	}
	wg.Go(func() {
		defer close(jobs)
		defer close(order)
		for lo := 0; lo < o.People; lo += batchSize {
			b := &batch{lo: lo, hi: min(lo+batchSize, o.People), text: *free.Get().(*[nFiles][]byte), done: make(chan struct{})}
			select {
			case order <- b:
			case <-ctx.Done():
				return
			}
			select {
			case jobs <- b:
			case <-ctx.Done():
				return
			}
		}
	})
	for b := range order {
		select {
		case <-b.done:
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for k := range b.text {
			if _, err := files[k].w.Write(b.text[k]); err != nil {
				return nil, fmt.Errorf("%s: %w", personFiles[k].name, err)
			}
			b.text[k] = b.text[k][:0]
		}
		free.Put(&b.text)
		if progress != nil {
			progress(b.hi, o.People)
		}
	}
	return clerks, ctx.Err()
}

// anonymousRows returns anonymous.csv: one row per participation of a person without
// consent, sorted, so that the order says nothing about who it was.
func (t *tally) anonymousRows() []byte {
	b := []byte(anonymousHeader + "\n")
	for y := range t.years {
		for _, sex := range []int{0, 1} {
			row := fmt.Appendf(nil, "%d;%s\n", FirstYear+y, sexName(sex == 1))
			b = append(b, slices.Repeat(row, int(t.anonymous[2*y+sex]))...)
		}
	}
	return b
}
