package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// outVariable tells the program where its outputs go.
const outVariable = "UTFALL_NOTEBOOK_OUT"

// Options say where and with what a notebook runs.
type Options struct {
	Root string   // folder of go.mod
	Env  []string // "KEY=value", beside the environment of this process
}

// Execute runs all code cells in order, as one program built inside the module at
// o.Root, and gives each cell's outputs by its index in nb.Cells. Nothing is written
// below o.Root: the program's source is laid over the module for the build alone. An
// error names the cell and the line.
func Execute(ctx context.Context, nb *Notebook, name string, o Options) (map[int][]Output, error) {
	src, numbers, err := nb.source(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	tmp, err := os.MkdirTemp("", "utfall-notebook-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	program, err := build(ctx, tmp, src, o.Root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out := filepath.Join(tmp, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = o.Root
	cmd.Env = append(append(os.Environ(), o.Env...), outVariable+"="+out)
	// What a cell prints goes to files; what comes here is an error or would be lost.
	var lost bytes.Buffer
	cmd.Stdout, cmd.Stderr = &lost, &lost
	runErr := cmd.Run()
	outputs, last, err := collect(out)
	if err != nil {
		return nil, err
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", name, ctx.Err())
	case runErr != nil && last == 0:
		return nil, fmt.Errorf("%s: %w: before the first cell: %w\n%s", name, ErrCell, runErr, lost.String())
	case runErr != nil:
		return nil, fmt.Errorf("%s: %w: cell %d: %w\n%s", name, ErrCell, last, runErr, lost.String())
	case lost.Len() > 0:
		return nil, fmt.Errorf("%s: %w: written to standard error:\n%s", name, ErrCell, lost.String())
	case len(numbers) > 0 && last != numbers[len(numbers)-1]:
		return nil, fmt.Errorf("%s: %w: cell %d ended the program", name, ErrCell, last)
	}
	return outputs, nil
}

func build(ctx context.Context, tmp string, src []byte, root string) (string, error) {
	const place = "notebooks/run/program"
	main := filepath.Join(tmp, "main.go")
	if err := os.WriteFile(main, src, 0o644); err != nil {
		return "", err
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(root, filepath.FromSlash(place), "main.go"): main},
	})
	if err != nil {
		return "", err
	}
	overlayFile := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o644); err != nil {
		return "", err
	}
	program := filepath.Join(tmp, "program")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-overlay", overlayFile, "-o", program, "./"+place)
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("%w: %s", ErrCell, strings.ReplaceAll(string(said), filepath.FromSlash(place)+string(filepath.Separator), ""))
	}
	return program, nil
}

// collect reads the files of outputs; last is the last cell that began, 0 if none did.
func collect(dir string) (outputs map[int][]Output, last int, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	outputs = map[int][]Output{}
	for _, f := range files { // in order of name: cell, then part
		number, _, _ := strings.Cut(f.Name(), "-")
		cell, err := strconv.Atoi(number)
		if err != nil {
			return nil, 0, err
		}
		last = max(last, cell)
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, 0, err
		}
		switch {
		case len(b) == 0:
		case strings.HasSuffix(f.Name(), ".png"):
			outputs[cell-1] = append(outputs[cell-1], Output{Type: "display_data", Data: &Data{PNG: b}, Metadata: &map[string]any{}})
		default:
			outputs[cell-1] = append(outputs[cell-1], Output{Type: "stream", Name: "stdout", Text: lines(strings.ReplaceAll(string(b), "\r\n", "\n"))})
		}
	}
	return outputs, last, nil
}

// Root is the folder of the module's go.mod, found from dir upwards.
func Root(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in this folder or above it")
		}
		dir = parent
	}
}
