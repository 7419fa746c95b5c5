package ingest

import "os"

func openXLSX(f *os.File, size int64, name, sheet string) (input, error) { return nil, ErrNotBuilt }
func openParquet(f *os.File, size int64, name string) (input, error)     { return nil, ErrNotBuilt }
func openArrow(f *os.File, size int64, name string) (input, error)       { return nil, ErrNotBuilt }
