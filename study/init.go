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

// templates are the study files that Init can write, with the data each wants.
var templates = []struct{ name, wants string }{
	{"individual", "participants.csv"},
	{"municipal", "panel.csv"},
	{"states", "spells.csv"},
	{"both", "people.csv, spells.csv, participations.csv, assessments.csv, municipalities.csv, ladder.yaml and truth.json (utfall simulate writes them)"},
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

// Init makes a folder with the study file of a template, and says in lines what to do
// next. A study file that is there already is not overwritten.
func Init(dir, template string) ([]string, error) {
	b, err := Template(template)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResource, err)
	}
	path := filepath.Join(dir, "study.yaml")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%w: %s exists; it was left as it is", ErrSpec, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResource, err)
	}
	if _, err = f.Write(b); err == nil {
		err = f.Close()
	} else {
		f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResource, err)
	}
	wants := ""
	for _, t := range templates {
		if t.name == template {
			wants = t.wants
		}
	}
	return []string{path, "put beside it: " + wants, "then: utfall check " + path}, nil
}
