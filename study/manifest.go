package study

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
)

// Manifest is the record of a run: enough to rerun it or to refuse. It holds no
// clock, host, user, path or worker count, so that two runs of one study on the same
// data give the same manifest.
type Manifest struct {
	Format  int               `json:"format"`
	Study   string            `json:"study"`
	Build   Build             `json:"build"`
	Spec    string            `json:"spec_sha256"` // of study.resolved.yaml
	Seed    uint64            `json:"seed"`
	Plan    PlanRecord        `json:"plan"`
	Inputs  []InputFile       `json:"inputs"`
	Steps   []ManifestStep    `json:"attrition"`
	Numbers int               `json:"numbers"`
	Digests map[string]string `json:"number_digests"` // address → digest of its line in results.jsonl
	Outputs []OutputFile      `json:"outputs"`
}

// PlanRecord says what of a run was planned before its outcomes were opened.
type PlanRecord struct {
	Lock       string       `json:"lock_sha256"` // of lock.json; empty where no plan was locked
	Deviations []Deviation  `json:"deviations"`
	Gate       []GateResult `json:"gate"` // of the design that was run
}

// Build says which program made the bundle.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Target   string `json:"target"` // GOOS/GOARCH and its level
}

// InputFile is a data file as it was read. Logical is the hash of the table's rows,
// the same for any row order and file format.
type InputFile struct {
	Name     string `json:"name"`
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	Logical  string `json:"logical_sha256"`
	Encoding string `json:"encoding"`
	Rows     string `json:"rows"` // released: rounded, ".." where too few
	Kept     string `json:"kept"`
	Rejected string `json:"rejected"`
}

// ManifestStep is one released attrition step.
type ManifestStep struct {
	Cohort string `json:"cohort"`
	Name   string `json:"name"`
	Rule   string `json:"rule"`
	Kept   string `json:"kept"`    // released: a rounded count, or ".."
	Left   string `json:"dropped"` // the same
}

// OutputFile is one file of the bundle.
type OutputFile struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// thisBuild describes the running program.
func thisBuild() Build {
	b := Build{Version: ProgramVersion, Go: runtime.Version(), Target: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		case "GOAMD64", "GOARM64":
			b.Target += "/" + s.Value
		}
	}
	return b
}

// ProgramVersion is the version of the program.
const ProgramVersion = "0.1.0"

func newHash() hash.Hash { return sha256.New() }

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// numberDigest is the digest of one record: short, because it guards against slips
// and says which number changed; the file's own hash guards the rest.
func numberDigest(r Record) (string, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("%s: %w", r.Address, err)
	}
	return digest(b)[:16], nil
}

// outputs lists and hashes the files of a bundle, all but the manifest itself.
func outputs(dir string) ([]OutputFile, error) {
	var out []OutputFile
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel == manifestFile {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out = append(out, OutputFile{filepath.ToSlash(rel), int64(len(b)), digest(b)})
		return nil
	})
	sort.Slice(out, func(i, j int) bool { return out[i].File < out[j].File })
	return out, err
}

// Names of the files of a bundle.
const (
	manifestFile = "manifest.json"
	resultsFile  = "results.jsonl"
	csvFile      = "estimates.csv"
	specFile     = "study.resolved.yaml"
	attritionCSV = "attrition.csv"
	balanceCSV   = "balance.csv"
	reportFile   = "report.html"
	protocolFile = "disclosure.json"
	trialFile    = "trial.json"
	featuresCSV  = "features.csv"
	strataCSV    = "balance_by.csv"
	lockFile     = "lock.json" // the plan, where one was locked
	figuresDir   = "figures"
)

func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func decodeManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %s is not readable: %w", ErrDiffers, manifestFile, err)
	}
	if m.Format != Version {
		return nil, fmt.Errorf("%w: %s has format %d, this program reads %d", ErrInput, manifestFile, m.Format, Version)
	}
	return &m, nil
}
