// Package run executes the notebooks of this repository without Jupyter, so that a
// test can show that what is stored in them is what they give today.
//
// A notebook is written for the GoNB kernel. The package understands a small part of
// what GoNB does, and refuses the rest by cell and line:
//
//   - A cell holds imports and top-level declarations, then, after a line "%%", the
//     statements that the cell carries out. A variable of the statements is known in
//     its own cell only.
//   - A declaration or import may stand in several cells if it is the same each time,
//     and is used in its own cell or in later ones.
//   - Statements show text on standard output, and a picture by
//     gonbui.DisplayPng(bytes). No other function of gonbui is there.
//   - A cell of nothing but "!*" lines and "%goworkfix" prepares GoNB's own module. Here
//     the notebook runs inside the module, so such a cell does nothing.
//   - Notebooks show numbers that exist: no function with a number as result, no
//     arithmetic, no package but those of [Allowed].
//
// All cells become one program, which is built inside the module without writing to it.
package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Errors of the package. Test with [errors.Is].
var (
	ErrFormat = errors.New("not a notebook that this runner reads")
	ErrCell   = errors.New("a cell that cannot be run")
	ErrStale  = errors.New("the stored outputs are not what the notebook gives")
)

// Notebook is an .ipynb file of format 4.5. The order of fields is that of their keys,
// in which Jupyter writes them.
type Notebook struct {
	Cells       []Cell   `json:"cells"`
	Metadata    Metadata `json:"metadata"`
	Format      int      `json:"nbformat"`
	FormatMinor int      `json:"nbformat_minor"`
}

// Metadata says which kernel the notebook is for.
type Metadata struct {
	Kernel   Kernel   `json:"kernelspec"`
	Language Language `json:"language_info"`
}

// Kernel names the kernel.
type Kernel struct {
	Display  string `json:"display_name"`
	Language string `json:"language"`
	Name     string `json:"name"`
}

// Language describes the language of the code cells. GoNB writes more keys than are read here.
type Language struct {
	Extension string `json:"file_extension"`
	Mimetype  string `json:"mimetype"`
	Name      string `json:"name"`
	Version   string `json:"version"`
}

// Cell is a cell of text or code.
type Cell struct {
	Type     string         `json:"cell_type"` // markdown or code
	Count    *int           `json:"execution_count,omitempty"`
	ID       string         `json:"id"`
	Metadata map[string]any `json:"metadata"`
	Outputs  *[]Output      `json:"outputs,omitempty"` // of code cells, nil for others
	Source   Lines          `json:"source"`
}

// Output is what a cell showed: a stretch of standard output, or a picture.
type Output struct {
	Data     *Data           `json:"data,omitempty"`
	Metadata *map[string]any `json:"metadata,omitempty"`
	Name     string          `json:"name,omitempty"` // stdout
	Type     string          `json:"output_type"`    // stream or display_data
	Text     Lines           `json:"text,omitempty"`
}

// Data is a picture, in base64 in the file.
type Data struct {
	PNG  []byte `json:"image/png"`
	Text Lines  `json:"text/plain,omitempty"`
}

// Lines is a text that the file holds as a list of lines, ends included.
type Lines []string

// String is the whole text, line ends as \n.
func (l Lines) String() string { return strings.ReplaceAll(strings.Join(l, ""), "\r\n", "\n") }

func lines(text string) Lines {
	out := strings.SplitAfter(text, "\n")
	if out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// Read reads a notebook and checks its structure.
func Read(path string) (*Notebook, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	nb, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return nb, nil
}

func parse(b []byte) (*Notebook, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var nb Notebook
	if err := dec.Decode(&nb); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if dec.More() {
		return nil, fmt.Errorf("%w: something follows the notebook", ErrFormat)
	}
	return &nb, nb.check()
}

var idForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// check tests what the schema of format 4.5 asks for beyond the types.
func (nb *Notebook) check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, a...))
	}
	if nb.Format != 4 || nb.FormatMinor != 5 {
		return bad("format %d.%d, 4.5 expected", nb.Format, nb.FormatMinor)
	}
	if nb.Metadata.Kernel.Name != "gonb" || nb.Metadata.Kernel.Language != "go" || nb.Metadata.Language.Name != "go" {
		return bad("kernel %q, gonb with language go expected", nb.Metadata.Kernel.Name)
	}
	seen := map[string]bool{}
	for i, c := range nb.Cells {
		switch {
		case !idForm.MatchString(c.ID):
			return bad("cell %d: the id %q is not 1 to 64 letters, digits, - and _", i+1, c.ID)
		case seen[c.ID]:
			return bad("cell %d: another cell has the id %q", i+1, c.ID)
		case c.Metadata == nil:
			return bad("cell %d: no metadata", i+1)
		case c.Type == "markdown" && (c.Outputs != nil || c.Count != nil):
			return bad("cell %d: a text with outputs", i+1)
		case c.Type == "code" && c.Outputs == nil:
			return bad("cell %d: code without outputs", i+1)
		case c.Type != "markdown" && c.Type != "code":
			return bad("cell %d: type %q, markdown or code expected", i+1, c.Type)
		}
		seen[c.ID] = true
		if c.Outputs == nil {
			continue
		}
		for k, o := range *c.Outputs {
			stream := o.Type == "stream" && o.Name == "stdout" && o.Data == nil && o.Metadata == nil
			picture := o.Type == "display_data" && o.Name == "" && o.Data != nil && len(o.Data.PNG) > 0 && o.Text == nil && o.Metadata != nil
			if !stream && !picture {
				return bad("cell %d: output %d is neither text on stdout nor a PNG", i+1, k+1)
			}
		}
	}
	return nil
}

// Bytes is the notebook as a file, as Jupyter writes it: keys in order, one space of
// indentation, letters as they are.
func (nb *Notebook) Bytes() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(nb); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
