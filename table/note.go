package table

// Note is a caveat that a reader must see beside a number: it travels with the
// number to the report. Code is stable ("rows-dropped"); Text is one plain English
// sentence, and Args are the numbers in it, so that a report can say it in Swedish.
type Note struct {
	Code string         `json:"code"`
	Text string         `json:"text"`
	Args map[string]any `json:"args,omitempty"`
}
