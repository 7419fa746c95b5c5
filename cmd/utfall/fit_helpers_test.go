package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type fitAnswer struct {
	Method, Version string
	N               map[string]int
	Estimates       []fitEstimateJSON
	Details         map[string]json.RawMessage
	Notes           []struct {
		Code, Text string
		Args       map[string]any
	}
}

// runFit runs the command as main does.
func runFit(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), append([]string{"fit"}, args...), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// fitted runs a method that must succeed and parses its JSON.
func fitted(t *testing.T, args ...string) *fitAnswer {
	t.Helper()
	code, out, errOut := runFit(t, append(args, "--format", "json")...)
	require.Equal(t, exitOK, code, "%v: %s", args, errOut)
	require.Empty(t, errOut)
	var a fitAnswer
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&a), out)
	return &a
}

func (a *fitAnswer) get(t *testing.T, term, measure string) fitEstimateJSON {
	t.Helper()
	var terms []string
	for _, e := range a.Estimates {
		if e.Term == term && (measure == "" || e.Measure == measure) {
			return e
		}
		terms = append(terms, e.Term+" "+e.Measure)
	}
	t.Fatalf("no estimate %q %s among %s", term, measure, strings.Join(terms, "; "))
	return fitEstimateJSON{}
}

func (a *fitAnswer) detail(t *testing.T, key string, v any) {
	t.Helper()
	require.Contains(t, a.Details, key)
	require.NoError(t, json.Unmarshal(a.Details[key], v))
}

func (a *fitAnswer) codes() (codes []string) {
	for _, n := range a.Notes {
		codes = append(codes, n.Code)
	}
	return codes
}

func writeTestFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}
