package study

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrTemplate says that there is no template of the name.
var ErrTemplate = errors.New("no such template")

//go:embed templates/*.yaml
var templateFiles embed.FS

// templates are the study files that Init can write, with the data each wants; ladder says that a ladder file comes with it.
var templates = []struct {
	name, wants string
	ladder      bool
}{
	{"individual", "participants.csv", false},
	{"municipal", "panel.csv", false},
	{"states", "spells.csv", false},
	{"progress", "people.csv, spells.csv, participations.csv and assessments.csv (utfall simulate writes such files)", true},
	{"both", "people.csv, spells.csv, participations.csv, assessments.csv, municipalities.csv, ladder.yaml and truth.json (utfall simulate writes them)", false},
}

// TemplateList names the templates.
func TemplateList() string {
	names := make([]string, len(templates))
	for i, t := range templates {
		names[i] = t.name
	}
	return strings.Join(names, ", ")
}

// Template returns the study file of a template.
func Template(name string) ([]byte, error) {
	for _, t := range templates {
		if t.name == name {
			return templateFiles.ReadFile("templates/" + name + ".yaml")
		}
	}
	return nil, fmt.Errorf("%w: %q is not one of %s", ErrTemplate, name, TemplateList())
}

// Init makes a folder with the study file of a template and, where it has a ladder, the ladder file, and says in lines
// what to do next. Files that are there already are not overwritten: a study file is an error, a ladder is kept and said.
func Init(dir, template string) ([]string, error) {
	b, err := Template(template)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResource, err)
	}
	path := filepath.Join(dir, "study.yaml")
	err = writeNew(path, b)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%w: %s exists; it was left as it is", ErrSpec, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResource, err)
	}
	said := []string{path}
	for _, t := range templates {
		if t.name != template {
			continue
		}
		if t.ladder {
			b, err := templateFiles.ReadFile("templates/ladder.yaml")
			if err != nil {
				return nil, err
			}
			ladder := filepath.Join(dir, "ladder.yaml")
			switch err := writeNew(ladder, b); {
			case errors.Is(err, os.ErrExist):
				said = append(said, ladder+" was there already and is left as it is")
			case err != nil:
				return nil, fmt.Errorf("%w: %w", ErrResource, err)
			default:
				said = append(said, ladder)
			}
		}
		said = append(said, "put beside it: "+t.wants)
	}
	return append(said, "then: utfall check "+path), nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
