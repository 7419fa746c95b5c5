package study

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"utfall/plots"
)

func (p *Places) figures(s *state, r *analysisResult) []drawing {
	out := r.own.(*placeResult)
	if out.pooled.Term == "" {
		return nil
	}
	ds := []drawing{{"funnel", s.funnelFigure}}
	if p.Map != nil {
		ds = append(ds, drawing{"map", s.placeFigure})
	}
	return ds
}

func (s *state) funnelFigure(r *analysisResult) (plots.Figure, error) {
	out := r.own.(*placeResult)
	d := plots.FunnelData{Centre: out.pooled.Value, YLabel: r.spec.Outcome.In(s.spec.Language), PercentagePoints: r.spec.Unit == "percentage-points"}
	for k, e := range out.raw {
		d.Points = append(d.Points, plots.FunnelPoint{Label: out.names[k], Estimate: e, Differs: out.differs[k]})
	}
	return plots.Funnel(d, s.style(s.spec.uses(r.spec), s.lang.Text("study.places-funnel-title"), s.lang.Text("study.places-funnel-subtitle")))
}

func (s *state) placeFigure(r *analysisResult) (plots.Figure, error) {
	p, out := r.spec.Places, r.own.(*placeResult)
	d := plots.PlaceData{Class: map[string]int{}, Value: map[string]float64{}, Letters: true, Classes: []plots.PlaceClass{
		{Label: s.lang.Text("study.places-higher"), Look: plots.PlaceHigher}, {Label: capital(s.lang.Text("study.places-same")), Look: plots.PlaceSame},
		{Label: s.lang.Text("study.places-lower"), Look: plots.PlaceLower}, {Label: s.lang.Text("study.places-hidden"), Look: plots.PlaceHidden},
	}}
	for k, name := range out.names {
		e := out.shrunk[k]
		d.Value[name] = e.Value
		switch {
		case out.pooled.Value < e.CI.Lo:
			d.Class[name] = 0
		case out.pooled.Value > e.CI.Hi:
			d.Class[name] = 2
		default:
			d.Class[name] = 1
		}
	}
	for _, name := range out.hidden {
		d.Class[name] = 3
	}
	st := s.style(s.spec.uses(r.spec), s.lang.Text("study.places-map-title"), s.lang.Text("study.places-map-subtitle"))
	if p.Map.Tiles {
		st.Width = 11
		f, err := plots.TileGrid(d, st)
		if errors.Is(err, plots.ErrInconsistent) {
			return f, fmt.Errorf("%w: places: map: tiles need codes of municipalities or counties in %q", ErrSpec, p.By)
		}
		return f, err
	}
	boundaries, err := readBoundaries(filepath.Join(s.o.DataDir, filepath.FromSlash(p.Map.Boundaries)), p.Map)
	if err != nil {
		return plots.Figure{}, err
	}
	return plots.Choropleth(d, boundaries, st)
}

// readBoundaries reads polygons and multipolygons of a GeoJSON file.
func readBoundaries(file string, m *PlaceMap) ([]plots.Boundary, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read", ErrInput, m.Boundaries)
	}
	var doc struct {
		Features []struct {
			Properties map[string]any `json:"properties"`
			Geometry   struct {
				Type        string          `json:"type"`
				Coordinates json.RawMessage `json:"coordinates"`
			} `json:"geometry"`
		} `json:"features"`
	}
	if err := json.Unmarshal(b, &doc); err != nil || doc.Features == nil {
		return nil, fmt.Errorf("%w: %s is not GeoJSON with features", ErrInput, m.Boundaries)
	}
	var out []plots.Boundary
	for i, f := range doc.Features {
		place, ok := f.Properties[m.Property].(string)
		if !ok {
			return nil, fmt.Errorf("%w: %s: feature %d has no text under the property %q", ErrInput, m.Boundaries, i+1, m.Property)
		}
		var polygons [][][][2]float64
		switch f.Geometry.Type {
		case "Polygon":
			var one [][][2]float64
			err = json.Unmarshal(f.Geometry.Coordinates, &one)
			polygons = append(polygons, one)
		case "MultiPolygon":
			err = json.Unmarshal(f.Geometry.Coordinates, &polygons)
		default:
			err = errors.New("no polygon")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: feature %d is neither a Polygon nor a MultiPolygon of longitude and latitude", ErrInput, m.Boundaries, i+1)
		}
		boundary := plots.Boundary{Place: place}
		for _, p := range polygons {
			boundary.Rings = append(boundary.Rings, p...)
		}
		out = append(out, boundary)
	}
	return out, nil
}
