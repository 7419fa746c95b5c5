package run

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
)

// A picture agrees with another of the same size when no more than sharePixels of its
// pixels differ by more than channelDelta in a colour: another processor may
// round the edge of a letter in another way, and nobody sees it.
const (
	channelDelta = 8 * 257 // 8 of 255
	sharePixels  = 0.001
)

// Compare tests that the outputs stored in nb are those that running it gave. The error
// wraps [ErrStale] and names each cell that differs, with the first line that does.
func Compare(nb *Notebook, got map[int][]Output) error {
	var all []error
	count := 0
	for i, c := range nb.Cells {
		if c.Type != "code" {
			continue
		}
		if count++; c.Count == nil || *c.Count != count {
			all = append(all, fmt.Errorf("%w: cell %d (%s): its execution count is not %d", ErrStale, i+1, c.ID, count))
		}
		if err := compareOutputs(*c.Outputs, got[i]); err != nil {
			all = append(all, fmt.Errorf("%w: cell %d (%s): %w", ErrStale, i+1, c.ID, err))
		}
	}
	return errors.Join(all...)
}

func compareOutputs(stored, got []Output) error {
	if len(stored) != len(got) {
		return fmt.Errorf("%d outputs stored, %d given", len(stored), len(got))
	}
	for k := range stored {
		s, g := stored[k], got[k]
		if s.Type != g.Type {
			return fmt.Errorf("output %d: %s stored, %s given", k+1, s.Type, g.Type)
		}
		var err error
		if s.Data != nil {
			err = comparePictures(s.Data.PNG, g.Data.PNG)
		} else {
			err = compareText(s.Text.String(), g.Text.String())
		}
		if err != nil {
			return fmt.Errorf("output %d: %w", k+1, err)
		}
	}
	return nil
}

func compareText(stored, got string) error {
	if stored == got {
		return nil
	}
	a, b := strings.Split(stored, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "(no line)", "(no line)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Errorf("line %d:\n  stored %q\n  given  %q", i+1, x, y)
		}
	}
	return nil
}

func comparePictures(stored, got []byte) error {
	if bytes.Equal(stored, got) {
		return nil
	}
	a, err := png.Decode(bytes.NewReader(stored))
	if err != nil {
		return fmt.Errorf("the stored picture: %w", err)
	}
	b, err := png.Decode(bytes.NewReader(got))
	if err != nil {
		return fmt.Errorf("the picture given: %w", err)
	}
	size := a.Bounds().Size()
	if size != b.Bounds().Size() {
		return fmt.Errorf("the picture stored is %v pixels, the one given %v", size, b.Bounds().Size())
	}
	differ := 0
	for y := range size.Y {
		for x := range size.X {
			if apart(a, b, image.Pt(x, y)) {
				differ++
			}
		}
	}
	if total := size.X * size.Y; float64(differ) > sharePixels*float64(total) {
		return fmt.Errorf("%d of %d pixels differ", differ, total)
	}
	return nil
}

func apart(a, b image.Image, at image.Point) bool {
	p, q := at.Add(a.Bounds().Min), at.Add(b.Bounds().Min)
	r, g, bl, al := a.At(p.X, p.Y).RGBA()
	s, t, u, v := b.At(q.X, q.Y).RGBA()
	for _, d := range [][2]uint32{{r, s}, {g, t}, {bl, u}, {al, v}} {
		if max(d[0], d[1])-min(d[0], d[1]) > channelDelta {
			return true
		}
	}
	return false
}

// Update stores outputs in the notebook and numbers the code cells. Outputs that agree
// with the stored ones leave those as they are.
func Update(nb *Notebook, got map[int][]Output) {
	count := 0
	for i := range nb.Cells {
		c := &nb.Cells[i]
		if c.Type != "code" {
			continue
		}
		count++
		n := count
		c.Count = &n
		if compareOutputs(*c.Outputs, got[i]) != nil {
			fresh := append([]Output{}, got[i]...)
			c.Outputs = &fresh
		}
	}
}

// Write writes the notebook to path in one rename.
func Write(path string, nb *Notebook) error {
	b, err := nb.Bytes()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-notebook-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
