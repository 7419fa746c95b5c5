package study

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Limits on a zipped bundle: a bundle is figures and tables, a few megabytes.
const (
	maxZipFiles = 2000
	maxZipBytes = 500 << 20
)

// openBundle opens a bundle: a folder, or the same folder zipped. The returned
// function closes it.
func openBundle(name string) (fs.FS, func() error, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: no bundle: %w", ErrInput, err)
	}
	if info.IsDir() {
		return os.DirFS(name), func() error { return nil }, nil
	}
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s is neither a folder nor a zip file: %w", ErrInput, name, err)
	}
	bad := func(format string, a ...any) (fs.FS, func() error, error) {
		z.Close()
		return nil, nil, fmt.Errorf("%w: %s: %s", ErrInput, name, fmt.Sprintf(format, a...))
	}
	if len(z.File) > maxZipFiles {
		return bad("more than %d files in the archive", maxZipFiles)
	}
	var total uint64
	seen := map[string]bool{}
	for _, f := range z.File {
		total += f.UncompressedSize64
		switch {
		case !fs.ValidPath(strings.TrimSuffix(f.Name, "/")):
			return bad("a file in the archive has a path that leads outside it")
		case f.Mode()&fs.ModeSymlink != 0:
			return bad("the archive holds a link")
		case seen[f.Name]:
			return bad("a file is in the archive twice")
		case total > maxZipBytes:
			return bad("the archive unpacks to more than %d MiB", maxZipBytes>>20)
		}
		seen[f.Name] = true
	}
	root, err := bundleRoot(z)
	if err != nil {
		return bad("%v", err)
	}
	return root, z.Close, nil
}

// bundleRoot finds the manifest at the top of the archive or in its only folder.
func bundleRoot(fsys fs.FS) (fs.FS, error) {
	if _, err := fs.Stat(fsys, manifestFile); err == nil {
		return fsys, nil
	}
	dirs, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	if len(dirs) == 1 && dirs[0].IsDir() {
		if _, err := fs.Stat(fsys, path.Join(dirs[0].Name(), manifestFile)); err == nil {
			return fs.Sub(fsys, dirs[0].Name())
		}
	}
	return nil, errors.New("there is no manifest.json in the archive")
}

// contents is a bundle in memory: its manifest, study and numbers.
type contents struct {
	fsys     fs.FS
	manifest Manifest
	records  []Record
}

func readBundle(fsys fs.FS) (*contents, error) {
	c := &contents{fsys: fsys}
	b, err := fs.ReadFile(fsys, manifestFile)
	if err != nil {
		return nil, fmt.Errorf("%w: not a bundle: %w", ErrInput, err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, err
	}
	c.manifest = *m
	b, err = fs.ReadFile(fsys, resultsFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	if c.records, err = readResults(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	return c, nil
}

// Zip writes a bundle folder as a zip archive with fixed times and no compression,
// so that the same bundle gives the same bytes.
func Zip(w io.Writer, dir string) error {
	fsys := os.DirFS(dir)
	z := zip.NewWriter(w)
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		h := &zip.FileHeader{Name: p, Method: zip.Store}
		h.SetMode(0o644)
		f, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		b, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	return z.Close()
}
