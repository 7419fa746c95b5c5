package synthetic

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// inFolder lets fill write into a new folder beside dir and renames it to dir when
// fill succeeds. The rename is what makes the result all or nothing.
func inFolder(dir string, fill func(tmp string) error) error {
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s: %w: choose a new folder", dir, ErrExists)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("output folder: %w", err)
	}
	existed := err == nil
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-partial-")
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	defer os.RemoveAll(tmp) // does nothing once the folder has its name
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	if existed {
		if err := os.Remove(dir); err != nil {
			return fmt.Errorf("output folder: %w", err)
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	return nil
}

// An outFile is a buffered file.
type outFile struct {
	f *os.File
	w *bufio.Writer
}

func createFile(dir, name, header string) (*outFile, error) {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	out := &outFile{f: f, w: bufio.NewWriterSize(f, 1<<20)}
	if header != "" {
		out.w.WriteString(header)
		out.w.WriteByte('\n')
	}
	return out, nil
}

// close flushes to the disk: after the rename the files must survive a power cut.
func (o *outFile) close() error {
	err := o.w.Flush()
	if e := o.f.Sync(); err == nil {
		err = e
	}
	if e := o.f.Close(); err == nil {
		err = e
	}
	return err
}

func writeWhole(dir, name string, body []byte) error {
	o, err := createFile(dir, name, "")
	if err != nil {
		return err
	}
	o.w.Write(body)
	return o.close()
}
