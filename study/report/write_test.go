package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/table"
)

func written(t testing.TB, in Input) string {
	var b bytes.Buffer
	require.NoError(t, Write(&b, in))
	return b.String()
}

// element is a node of the page as a reader of the markup sees it.
type element struct {
	name     string
	attr     map[string]string
	children []*element
	text     string // of a text node
}

// parse reads the page strictly: every element is closed where it should be.
func parse(t testing.TB, page string) *element {
	dec := xml.NewDecoder(strings.NewReader(page))
	dec.Strict, dec.Entity = true, xml.HTMLEntity
	dec.AutoClose = []string{"meta"}
	root := &element{name: "#"}
	stack := []*element{root}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		top := stack[len(stack)-1]
		switch x := tok.(type) {
		case xml.StartElement:
			e := &element{name: x.Name.Local, attr: map[string]string{}}
			for _, a := range x.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.children = append(top.children, &element{text: string(x)})
		}
	}
	return root
}

func (e *element) all(match func(*element) bool) (out []*element) {
	if match(e) {
		out = append(out, e)
	}
	for _, c := range e.children {
		out = append(out, c.all(match)...)
	}
	return out
}

func (e *element) named(names ...string) []*element {
	return e.all(func(x *element) bool { return slices.Contains(names, x.name) })
}

func (e *element) content() string {
	if e.name == "" {
		return e.text
	}
	var b strings.Builder
	for _, c := range e.children {
		b.WriteString(c.content())
		b.WriteString(" ")
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (e *element) has(class string) bool {
	return slices.Contains(strings.Fields(e.attr["class"]), class)
}

// page with img elements closed, which HTML does not need and the strict parser does.
func samplePage(t testing.TB, l lang.Lang) (string, *element) {
	page := written(t, sampleInput(t, l))
	closed := regexp.MustCompile(`<(img|meta)([^>]*)>`).ReplaceAllString(page, "<$1$2/>")
	return page, parse(t, closed)
}

func TestPageIsSelfContained(t *testing.T) {
	for _, l := range lang.All() {
		page, root := samplePage(t, l)
		require.NotContains(t, strings.ReplaceAll(page, "http-equiv", ""), "http", "no address of anything outside")
		require.NotContains(t, page, "[[", "a text is missing")
		require.NotContains(t, page, "⟦", "a text is missing")
		require.NotContains(t, page, "ZgotmplZ", "a value was filtered")
		require.NotContains(t, page, "<script")
		require.NotContains(t, page, "foreignObject")
		require.NotContains(t, page, "url(")
		require.NotContains(t, page, "NaN")
		require.NotContains(t, page, "%!")
		require.Contains(t, page, `content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"`)
		require.Equal(t, string(l), root.named("html")[0].attr["lang"])
		for _, e := range root.all(func(*element) bool { return true }) {
			for name, v := range e.attr {
				require.False(t, strings.HasPrefix(name, "on"), "event handler %s", name)
				if name == "href" || name == "src" {
					require.True(t, strings.HasPrefix(v, "#") || strings.HasPrefix(v, "data:image/png;base64,"), v)
				}
			}
			require.NotContains(t, []string{"script", "iframe", "object", "embed", "link", "form", "base"}, e.name)
		}
		again := written(t, sampleInput(t, l))
		require.Equal(t, page, again, "the same input gives the same bytes")
	}
}

// Every text that the template asks for is in the catalogue.
func TestTemplateKeysExist(t *testing.T) {
	keys := regexp.MustCompile(`t "(report\.[^"]+)"`).FindAllStringSubmatch(markup, -1)
	require.Greater(t, len(keys), 60)
	for _, k := range keys {
		require.True(t, lang.Has(k[1]), k[1])
	}
}

// The structure a screen reader walks: one h1, no level skipped, sections named,
// tables with captions and scoped heads, figures with words.
func TestPageStructure(t *testing.T) {
	for _, l := range lang.All() {
		_, root := samplePage(t, l)
		require.Len(t, root.named("h1"), 1)
		require.Len(t, root.named("main"), 1)
		require.NotEmpty(t, root.named("nav"))
		level := 0
		for _, h := range root.named("h1", "h2", "h3", "h4") {
			next := int(h.name[1] - '0')
			require.LessOrEqual(t, next, level+1, "heading %q skips a level", h.content())
			require.NotEmpty(t, h.content())
			level = next
		}
		ids := map[string]bool{}
		for _, e := range root.all(func(e *element) bool { return e.attr["id"] != "" }) {
			require.False(t, ids[e.attr["id"]], "id %s twice", e.attr["id"])
			ids[e.attr["id"]] = true
		}
		for _, e := range root.all(func(*element) bool { return true }) {
			if by := e.attr["aria-labelledby"]; by != "" {
				require.True(t, ids[by], by)
			}
			if to := e.attr["href"]; to != "" {
				require.True(t, ids[strings.TrimPrefix(to, "#")], to)
			}
		}
		tables := root.named("table")
		require.NotEmpty(t, tables)
		for _, table := range tables {
			require.Len(t, table.named("caption"), 1)
			for _, th := range table.named("th") {
				require.Contains(t, []string{"col", "row"}, th.attr["scope"])
			}
			columns := len(table.named("thead")[0].named("th"))
			for _, tr := range table.named("tbody")[0].named("tr") {
				n := 0
				for _, cell := range tr.named("th", "td") {
					n++
					if s := cell.attr["colspan"]; s != "" {
						n += int(s[0]-'0') - 1
					}
				}
				require.Equal(t, columns, n, tr.content())
			}
		}
		for _, f := range root.named("figure") {
			require.Len(t, f.named("figcaption"), 1)
			alt := f.all(func(e *element) bool {
				return e.attr["alt"] != "" || (e.name == "div" && e.has("svg") && e.attr["aria-label"] != "")
			})
			require.NotEmpty(t, alt)
		}
		require.Len(t, root.all(func(e *element) bool { return e.has("card") }), 5)
		require.Len(t, root.all(func(e *element) bool { return e.has("finding") }), 9)
	}
}

var numberInText = regexp.MustCompile(`[−+]?[0-9]+(?:[\x{00a0},.][0-9]+)*`)

// Every number in a sentence of the report stands in a cell of a table (M54). Signs
// are left out: a sentence says "less" where a table has a minus.
func TestEveryNumberInTextIsInATable(t *testing.T) {
	for _, l := range lang.All() {
		_, root := samplePage(t, l)
		cells := map[string]bool{}
		bare := func(s string) string { return strings.TrimLeft(s, "−+") }
		for _, c := range root.named("td", "th") {
			for _, n := range numberInText.FindAllString(c.content(), -1) {
				cells[bare(n)] = true
			}
		}
		checked := 0
		for _, e := range root.all(func(e *element) bool { return e.has("say") || e.has("number") }) {
			for _, n := range numberInText.FindAllString(e.content(), -1) {
				require.True(t, cells[bare(n)], "%q of %q is in no table (%s)", n, e.content(), l)
				checked++
			}
		}
		require.Greater(t, checked, 40)
	}
}

// The first page holds the key results in their order, each by itself, the yardstick of old
// beside them in one line, whom they are about, and what is not said; and no answer twice.
func TestFirstPage(t *testing.T) {
	in := sampleInput(t, lang.EN)
	in.Findings[7].Beside = true
	in.Findings[0].Gates = []Gate{{What: "one", Met: true}, {What: "two"}}
	root := parse(t, regexp.MustCompile(`<(img|meta)([^>]*)>`).ReplaceAllString(written(t, in), "<$1$2/>"))
	page := root.all(func(e *element) bool { return e.attr["aria-labelledby"] == "results" })[0]
	cards := page.all(func(e *element) bool { return e.has("card") })
	for i, c := range cards {
		require.Equal(t, in.Findings[i].Outcome, c.named("h3")[0].content())
	}
	require.Contains(t, cards[0].content(), "1 of 2 tests of the number are met.")
	beside := page.all(func(e *element) bool { return e.has("beside") })
	require.Len(t, beside, 1)
	require.Contains(t, beside[0].content(), "3.2")
	about := page.all(func(e *element) bool { return e.has("about") })[0].content()
	require.Contains(t, about, "985 participants are compared with 985 comparison people. They are 65% of all 1,505 participants in the data")
	require.Contains(t, about, "Member municipalities are compared with municipalities not yet members. Start: 2010–2019.")
	for _, c := range in.CannotSay {
		require.Contains(t, about, c)
		require.Equal(t, 1, strings.Count(root.content(), c))
	}
	in.Findings = in.Findings[5:]
	require.NotContains(t, written(t, in), "Whom the answers are about", "without key results nobody is named")
}

func TestMonthsAreNamed(t *testing.T) {
	sv := &page{Lang: lang.SV}
	require.Equal(t, "januari\u00a02013 – december\u00a02015", sv.months("2013-01–2015-12"))
	for _, as := range []string{"", "2010–2019", "2013-13–2015-12", "evil-x"} {
		require.Equal(t, as, sv.months(as))
	}
}

// Each finding's numbers stand in its own table, not just in any.
func TestFindingNumbersAreInItsOwnTable(t *testing.T) {
	for _, l := range lang.All() {
		_, root := samplePage(t, l)
		for _, f := range root.all(func(e *element) bool { return e.has("finding") }) {
			own := ""
			for _, table := range f.named("table") {
				own += table.content() + " "
			}
			for _, say := range f.all(func(e *element) bool { return e.has("say") }) {
				for _, n := range numberInText.FindAllString(say.content(), -1) {
					require.Contains(t, own, strings.TrimLeft(n, "−+"))
				}
			}
		}
	}
}

// The rows with a star are those that the sentence counts.
func TestBalanceSentenceCountsTheStars(t *testing.T) {
	in := sampleInput(t, lang.EN)
	above, of := in.Comparisons[0].Balance.Above(0.1)
	require.Equal(t, []int{1, 7}, []int{above, of})
	_, root := samplePage(t, lang.EN)
	stars := 0
	for _, cell := range root.named("td") {
		if strings.HasSuffix(cell.content(), "*") {
			stars++
		}
	}
	require.Equal(t, above, stars)
}

func TestLabelsAreText(t *testing.T) {
	in := sampleInput(t, lang.EN)
	in.Title, in.Question, in.Background, in.Summary, in.Publisher, in.Period = evil, evil, evil, evil, evil, evil
	in.CannotSay = []string{evil}
	in.Reproduction.Command, in.Reproduction.Version = evil, evil
	in.Notes = []table.Note{{Code: "none-such", Text: evil, Args: map[string]any{"x": evil}}}
	for i := range in.Findings {
		f := &in.Findings[i]
		f.Outcome, f.Question, f.Address = evil, evil, f.Address+evil
		f.Notes = in.Notes
		if f.Kind == Refused {
			f.Why, f.Fix = evil, evil
		}
		for j := range f.Figures {
			f.Figures[j].Caption, f.Figures[j].Alt, f.Figures[j].CSV = evil, evil, evil
		}
	}
	c := &in.Comparisons[0]
	c.Label, c.Treated, c.Control, c.Population, c.StepLabels, c.RowLabels = evil, evil, evil, evil, map[string]string{"known": evil}, map[string]string{"age": evil}
	in.Protocol.Withheld[0].Place = evil
	page := written(t, in)
	require.NotContains(t, page, "<script")
	require.Contains(t, page, "&lt;script&gt;")
	require.NotContains(t, page, `alert("x")`)
}

func findingElement(root *element, address string) *element {
	for _, f := range root.all(func(e *element) bool { return e.has("finding") }) {
		if strings.Contains(f.content(), address) {
			return f
		}
	}
	return nil
}

func TestRefusedSaysWhyAndWhatWouldFixIt(t *testing.T) {
	in := sampleInput(t, lang.SV)
	_, root := samplePage(t, lang.SV)
	f := findingElement(root, "life/att/refused")
	require.NotNil(t, f)
	last := in.Findings[len(in.Findings)-1]
	require.Contains(t, f.content(), last.Why)
	require.Contains(t, f.content(), last.Fix)
	require.Empty(t, f.named("table"), "no number, no table")
	last.Fix = ""
	in.Findings[len(in.Findings)-1] = last
	require.ErrorIs(t, Write(io.Discard, in), ErrInput)
}

// A withheld number is two dots everywhere: card, table, appendix; never 0, never empty.
func TestWithheldIsTwoDots(t *testing.T) {
	in := sampleInput(t, lang.EN)
	for i := range in.Findings {
		f := &in.Findings[i]
		f.Headline = f.Address == "sub/att/risk-difference"
	}
	page := written(t, in)
	root := parse(t, regexp.MustCompile(`<(img|meta)([^>]*)>`).ReplaceAllString(page, "<$1$2/>"))
	card := root.all(func(e *element) bool { return e.has("card") })
	require.Len(t, card, 1)
	require.Contains(t, card[0].content(), "..")
	require.Contains(t, card[0].content(), "Not shown")
	require.Empty(t, card[0].named("svg"))
	row := findingElement(root, "sub/att/risk-difference").named("td")
	for _, cell := range row {
		require.Equal(t, "..", cell.content())
	}
	for _, tr := range root.named("tr") {
		if strings.HasPrefix(tr.content(), "sub/att/risk-difference") {
			require.Equal(t, 5, strings.Count(tr.content(), ".."))
		}
	}
	require.NotContains(t, root.named("body")[0].content(), "20.0", "the withheld value is nowhere")
}

// Notes stand in the article of their number; one without a translation is said to be
// in English, and a withheld count in a note is two dots.
func TestNotesStandBesideTheirNumber(t *testing.T) {
	_, root := samplePage(t, lang.SV)
	f := findingElement(root, "own-income/att/risk-difference")
	require.Contains(t, f.content(), "14 rader")
	other := findingElement(root, "net-months/att/net-months")
	require.NotContains(t, other.content(), "14 rader")
	visits := findingElement(root, "doctor/att/mean-difference")
	require.Contains(t, visits.content(), "Visits abroad are not in the data. [på engelska]")
	foreign := visits.all(func(e *element) bool { return e.attr["lang"] == "en" })
	require.Len(t, foreign, 1)

	p := &page{Lang: lang.SV}
	n := p.note(release.Policy{}.Note(table.Note{Code: "rows-dropped", Text: "3 rows have no value.", Args: map[string]any{"rows": 3}}))
	require.False(t, n.Foreign)
	require.Contains(t, n.Text, ".. rader")
	n = (&page{Lang: lang.EN}).note(table.Note{Code: "none-such", Text: "Own words."})
	require.Equal(t, noteView{Text: "Own words."}, n)
}

func TestIncompleteInput(t *testing.T) {
	for name, spoil := range map[string]func(in *Input){
		"language":       func(in *Input) { in.Lang = "de" },
		"title":          func(in *Input) { in.Title = " " },
		"question":       func(in *Input) { in.Question = "" },
		"protocol":       func(in *Input) { in.Protocol = release.Protocol{} },
		"address":        func(in *Input) { in.Findings[0].Address = "" },
		"outcome":        func(in *Input) { in.Findings[0].Outcome = "" },
		"address twice":  func(in *Input) { in.Findings[0].Address = in.Findings[1].Address },
		"kind":           func(in *Input) { in.Findings[0].Kind = "causal" },
		"direction":      func(in *Input) { in.Findings[0].Good = "sideways" },
		"unit":           func(in *Input) { in.Findings[0].Unit = "furlongs" },
		"unit of a row":  func(in *Input) { in.Findings[0].Rows[0].Unit = "furlongs" },
		"relevance":      func(in *Input) { in.Findings[0].Relevance = -1 },
		"no relevance":   func(in *Input) { in.Findings[0].Relevance = math.NaN() },
		"comparison":     func(in *Input) { in.Findings[0].Comparison = "nobody" },
		"too many cards": func(in *Input) { in.Findings[5].Headline = true },
		"refused no why": func(in *Input) { in.Findings[8].Why = "" },
	} {
		in := sampleInput(t, lang.EN)
		spoil(&in)
		var b bytes.Buffer
		require.ErrorIs(t, Write(&b, in), ErrInput, name)
		require.Zero(t, b.Len(), "nothing half-written")
	}
}

// A report with nothing but a question is still a page.
func TestSmallestReport(t *testing.T) {
	for _, l := range lang.All() {
		page := written(t, Input{Lang: l, Title: "T", Question: "Q?", Protocol: release.Policy{}.Protocol()})
		require.NotContains(t, page, "⟦")
		require.Contains(t, page, html.EscapeString(l.Text("report.disc-none")))
	}
}

func TestTruthOutsideTheIntervalIsSaid(t *testing.T) {
	in := sampleInput(t, lang.EN)
	in.Findings[0].Truth = &Truth{0.2}
	require.Contains(t, written(t, in), "lies outside the interval")
	in.Findings[0].Estimate = release.Estimate{Number: estimate.Estimate{Value: math.NaN(), CI: interval(math.NaN(), math.NaN())}}
	require.NotContains(t, written(t, in), "lies outside the interval")
}

// A check is said in its own sentences, never as better or worse, and a check that says
// nothing is an error.
func TestCheckIsSaidInItsOwnWords(t *testing.T) {
	in := sampleInput(t, lang.EN)
	f := in.Findings[0]
	f.Address, f.Kind, f.Under, f.Headline, f.Naive, f.Truth = "trust/e-value/risk-ratio", Check, true, false, nil, nil
	in.Findings = append(in.Findings, f)
	var b bytes.Buffer
	require.ErrorIs(t, Write(&b, in), ErrInput)
	in.Findings[len(in.Findings)-1].Says = []string{"It would take much to explain this away.", "And a second sentence."}
	page := written(t, in)
	require.Contains(t, page, `class="finding under"`)
	require.Contains(t, page, "It would take much to explain this away.")
	require.Contains(t, page, `<p class="say">And a second sentence.</p>`)
	require.Contains(t, page, `<span class="badge silent">Check</span> It would take`)
}
