package run

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// book makes a notebook of code cells.
func book(cells ...string) *Notebook {
	nb := &Notebook{Format: 4, FormatMinor: 5, Metadata: Metadata{Kernel: Kernel{"Go (gonb)", "go", "gonb"}, Language: Language{".go", "text/x-go", "go", "go1.26"}}}
	for i, source := range cells {
		n := i + 1
		nb.Cells = append(nb.Cells, Cell{Type: "code", Count: &n, ID: "c" + string(rune('a'+i)), Metadata: map[string]any{}, Outputs: &[]Output{}, Source: lines(source)})
	}
	return nb
}

func execute(t *testing.T, nb *Notebook, env ...string) (map[int][]Output, error) {
	t.Helper()
	root, err := Root(".")
	require.NoError(t, err)
	return Execute(t.Context(), nb, "test.ipynb", Options{Root: root, Env: env})
}

const printing = "import \"fmt\"\n"

// Cells run in order in one program: what a cell declares is known below, what it shows
// stays in order, and repeated declarations are one.
func TestExecuteGivesEachCellItsOutputs(t *testing.T) {
	var dot bytes.Buffer
	require.NoError(t, png.Encode(&dot, image.NewGray(image.Rect(0, 0, 2, 2))))
	picture := filepath.Join(t.TempDir(), "dot.png")
	require.NoError(t, os.WriteFile(picture, dot.Bytes(), 0o644))
	nb := book(
		"!*go work init\n%goworkfix",
		printing+"func must[T any](v T, err error) T {\n\tif err != nil {\n\t\tpanic(err)\n\t}\n\treturn v\n}\n\nvar word = \"one\"\n%%\nword = \"two\"\nfmt.Println(word)",
		printing+"var word = \"one\"",
		"import (\n\t\"os\"\n\t\"github.com/janpfeifer/gonb/gonbui\"\n)\n%%\nx := must(os.ReadFile(os.Getenv(\"PICTURE\")))\nfmt.Print(word, \"\\n\", \"no end\")\ngonbui.DisplayPng(x)\nfmt.Println(\"after\")",
	)
	got, err := execute(t, nb, "PICTURE="+picture)
	require.NoError(t, err)
	text := func(s string) Output { return Output{Type: "stream", Name: "stdout", Text: lines(s)} }
	require.Equal(t, map[int][]Output{
		1: {text("two\n")},
		3: {text("two\nno end"), {Type: "display_data", Data: &Data{PNG: dot.Bytes()}, Metadata: &map[string]any{}}, text("after\n")},
	}, got)
	require.ErrorIs(t, Compare(nb, got), ErrStale)
	Update(nb, got)
	require.NoError(t, Compare(nb, got))

	// What is written reads back as the same file, and nothing is left in the module.
	b, err := nb.Bytes()
	require.NoError(t, err)
	again, err := parse(b)
	require.NoError(t, err)
	c, err := again.Bytes()
	require.NoError(t, err)
	require.Equal(t, string(b), string(c))
	require.NoDirExists(t, "program")
}

// Whatever is not in the subset is refused with its cell and line, before anything runs.
func TestRefusedCells(t *testing.T) {
	for name, c := range map[string]struct {
		cells []string
		want  string
	}{
		"magic":             {[]string{"var a = \"x\"", "%env X=1"}, "cell 2, line 1"},
		"shell":             {[]string{"import \"fmt\"\n%%\n!ls"}, "cell 1, line 3"},
		"second body":       {[]string{"%%\n%%"}, "cell 1, line 2"},
		"code in setup":     {[]string{"!*go work init\nvar a = 1"}, "cell 1, line 2"},
		"main":              {[]string{"func main() {}"}, "cell 1, line 1: func main"},
		"init":              {[]string{"\nfunc init() {}"}, "cell 1, line 2: func init"},
		"method":            {[]string{"type t struct{}\nfunc (t) m() {}"}, "cell 1, line 2: method m"},
		"other declaration": {[]string{"var a = \"x\"", "var a = \"y\""}, "cell 2, line 1: a is declared in another way in cell 1"},
		"later declaration": {[]string{"import \"fmt\"\n%%\nx := \"y\"\nfmt.Println(x, a)", "var a = \"x\""}, "cell 1, line 4: a is declared in cell 2"},
		"import":            {[]string{"import \"os/exec\""}, `cell 1, line 1: import "os/exec"`},
		"renamed import":    {[]string{"import f \"fmt\""}, "under another name"},
		"helper name":       {[]string{"var nb_cell = 1"}, "nb_cell cannot be declared"},
		"stand-in name":     {[]string{"var gonbui = 1"}, "gonbui cannot be declared"},
		"number function":   {[]string{"func effect() float64 { return 0.1 }"}, "cell 1, line 1: a function that gives a number"},
		"number slice":      {[]string{"var f = func() ([]float64, error) { return nil, nil }"}, "a function that gives a number"},
		"arithmetic":        {[]string{"import \"fmt\"\n%%\nx := 1.5\n\nfmt.Println(x * 2)"}, "cell 1, line 5: arithmetic (*)"},
		"adding up":         {[]string{"%%\nx := 1.5\nx += 1\n_ = x"}, "cell 1, line 3: arithmetic (+=)"},
		"syntax":            {[]string{"var a = "}, "cell 1"},
		"syntax of body":    {[]string{"%%\nx := ("}, "cell 1, after %%"},
		"braces":            {[]string{"%%\n}\nfunc g() {"}, "cell 1, line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := book(c.cells...).source("test.ipynb")
			require.ErrorIs(t, err, ErrCell)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestFailuresNameTheCell(t *testing.T) {
	for name, c := range map[string]struct {
		cells []string
		want  []string
	}{
		"compiler":     {[]string{printing + "%%\nfmt.Println(1)", "%%\n\nfmt.Println(nothing)"}, []string{"test.ipynb cell 2:3", "undefined: nothing"}},
		"panic":        {[]string{printing + "%%\nfmt.Println(1)", "%%\npanic(\"no bundle\")"}, []string{"cell 2", "no bundle"}},
		"declaration":  {[]string{"var a = func() string { panic(\"early\") }()\n%%\n_ = a"}, []string{"before the first cell", "early"}},
		"exit":         {[]string{"import \"os\"\n%%\nos.Exit(0)", "%%\n"}, []string{"cell 1 ended the program"}},
		"stderr":       {[]string{"import (\n\t\"fmt\"\n\t\"os\"\n)\n%%\nfmt.Fprintln(os.Stderr, \"lost\")"}, []string{"standard error", "lost"}},
		"not stood in": {[]string{"import \"github.com/janpfeifer/gonb/gonbui\"\n%%\ngonbui.DisplayHTML(\"x\")"}, []string{"cell 1:3", "DisplayHTML"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := execute(t, book(c.cells...))
			require.ErrorIs(t, err, ErrCell)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}

func TestFormatIsChecked(t *testing.T) {
	good, err := book("%%\n").Bytes()
	require.NoError(t, err)
	_, err = parse(good)
	require.NoError(t, err)
	for name, edit := range map[string][2]string{
		"minor":       {`"nbformat_minor": 5`, `"nbformat_minor": 4`},
		"kernel":      {`"name": "gonb"`, `"name": "python3"`},
		"id":          {`"id": "ca"`, `"id": "a b"`},
		"no id":       {`"id": "ca",`, ``},
		"unknown key": {`"id": "ca",`, `"id": "ca", "attachment": 1,`},
		"type":        {`"cell_type": "code"`, `"cell_type": "raw"`},
		"text output": {`"cell_type": "code"`, `"cell_type": "markdown"`},
		"stderr":      {`"outputs": []`, `"outputs": [{"name": "stderr", "output_type": "stream", "text": ["x"]}]`},
		"no outputs":  {`"outputs": [],`, ``},
		"not JSON":    {`"nbformat": 4,`, `"nbformat": 4,,`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, string(good), edit[0])
			_, err := parse([]byte(strings.Replace(string(good), edit[0], edit[1], 1)))
			require.ErrorIs(t, err, ErrFormat)
		})
	}
	twice := book("%%\n", "%%\n")
	twice.Cells[1].ID = twice.Cells[0].ID
	require.ErrorIs(t, twice.check(), ErrFormat)
}

func picture(t *testing.T, paint func(img *image.RGBA)) []Output {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 100, 100))
	paint(img)
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return []Output{{Type: "display_data", Data: &Data{PNG: b.Bytes()}, Metadata: &map[string]any{}}}
}

// A text differs by any character but the kind of line end; a picture by more than what
// rounding does to an edge.
func TestCompareSeesWhatChanged(t *testing.T) {
	text := func(s string) []Output { return []Output{{Type: "stream", Name: "stdout", Text: lines(s)}} }
	require.NoError(t, compareOutputs(text("a\r\nb\r\n"), text("a\nb\n")))
	require.ErrorContains(t, compareOutputs(text("a\n6.0\n"), text("a\n6.1\n")), `line 2`)
	require.ErrorContains(t, compareOutputs(text("a\n"), text("a\nb\n")), `given  "b"`)
	require.ErrorContains(t, compareOutputs(text("a\n"), nil), "1 outputs stored, 0 given")

	plain := picture(t, func(*image.RGBA) {})
	require.ErrorContains(t, compareOutputs(text("a\n"), plain), "stream stored, display_data given")
	dots := func(n int, v uint8) []Output {
		return picture(t, func(img *image.RGBA) {
			for i := range n {
				img.SetRGBA(i, 50, color.RGBA{v, v, v, v})
			}
		})
	}
	require.NoError(t, compareOutputs(plain, dots(100, 8)), "faint everywhere in a line")
	require.NoError(t, compareOutputs(plain, dots(10, 255)), "10 of 10,000 pixels")
	require.ErrorContains(t, compareOutputs(plain, dots(11, 255)), "11 of 10000 pixels differ")
	require.ErrorContains(t, compareOutputs(plain, dots(100, 10)), "100 of 10000 pixels differ")
	small := []Output{{Type: "display_data", Data: &Data{PNG: []byte("no picture")}}}
	require.ErrorContains(t, compareOutputs(plain, small), "the picture given")

	// An update leaves a picture that agrees as it is stored, and stores one that does not.
	nb := book("%%\n")
	nb.Cells[0].Outputs = &plain
	Update(nb, map[int][]Output{0: dots(10, 255)})
	require.Equal(t, plain, *nb.Cells[0].Outputs)
	Update(nb, map[int][]Output{0: dots(11, 255)})
	require.NotEqual(t, plain, *nb.Cells[0].Outputs)

	err := Compare(nb, map[int][]Output{0: plain})
	require.ErrorIs(t, err, ErrStale)
	require.ErrorContains(t, err, "cell 1 (ca)")
	three := 3
	nb = book("%%\n")
	nb.Cells[0].Count = &three
	require.ErrorContains(t, Compare(nb, nil), "its execution count is not 1")
}
