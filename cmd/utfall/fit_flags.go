package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"utfall/table"
)

// flagSet declares flags and remembers which must be given.
type flagSet struct {
	cmd    *cobra.Command
	needed []string
}

func (f *flagSet) text(p *string, name, value, text string) {
	f.cmd.Flags().StringVar(p, name, value, text)
}

func (f *flagSet) column(p *string, name, text string) { f.text(p, name, "", "`column`: "+text) }

func (f *flagSet) list(p *[]string, name, text string) {
	f.cmd.Flags().StringSliceVar(p, name, nil, text)
}

func (f *flagSet) number(p *float64, name string, value float64, text string) {
	f.cmd.Flags().Float64Var(p, name, value, text)
}

func (f *flagSet) whole(p *int, name string, value int, text string) {
	f.cmd.Flags().IntVar(p, name, value, text)
}

func (f *flagSet) seed(p *uint64, text string) { f.cmd.Flags().Uint64Var(p, "seed", 0, text) }

func (f *flagSet) yes(p *bool, name string, value bool, text string) {
	f.cmd.Flags().BoolVar(p, name, value, text)
}

// given reports whether a flag was on the command line.
func (f *flagSet) given(name string) bool { return f.cmd.Flags().Changed(name) }

func (f *flagSet) need(names ...string) { f.needed = append(f.needed, names...) }

// unmet lists the flags that must be given and are not.
func (f *flagSet) unmet() (problems []string) {
	for _, n := range f.needed {
		if fl := f.cmd.Flags().Lookup(n); !fl.Changed {
			problems = append(problems, fmt.Sprintf("--%s is needed", n))
		} else if v := fl.Value.String(); v == "" || v == "[]" {
			problems = append(problems, fmt.Sprintf("--%s is empty", n))
		}
	}
	return problems
}

// parseFlags reads the flags of a method. Unlike the library's own parser it goes on
// after a problem, so that all of them are said at once.
func parseFlags(cmd *cobra.Command, args []string) (help bool, problems []string) {
	cmd.InheritedFlags() // adds the global flags to the command's
	fs := cmd.Flags()
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "-h" || arg == "--help" {
			return true, nil
		}
		if !strings.HasPrefix(arg, "--") || arg == "--" {
			if len(arg) > 1 && arg[0] == '-' {
				bad("unknown flag %s", arg)
			} else {
				bad("what is %q? Every argument of fit %s is a flag, and a list is comma separated", arg, cmd.Name())
			}
			continue
		}
		name, value, given := strings.Cut(arg[2:], "=")
		flag := fs.Lookup(name)
		if flag == nil {
			if !given && i+1 < len(args) && !strings.HasPrefix(args[i+1], "--") {
				i++
			}
			bad("%s", unknownFlag(cmd, name))
			continue
		}
		if !given {
			switch {
			case flag.NoOptDefVal != "":
				value = flag.NoOptDefVal
			case i+1 < len(args):
				i++
				value = args[i]
			default:
				bad("--%s needs a value", name)
				continue
			}
		}
		if _, list := flag.Value.(interface{ GetSlice() []string }); flag.Changed && !list {
			bad("--%s is given twice", name)
			continue
		}
		if err := fs.Set(name, value); err != nil {
			bad("--%s: %q is not %s", name, value, kindText(flag.Value.Type()))
		}
	}
	return false, problems
}

// hideFlags leaves flags of every method that this one refuses out of its help.
func hideFlags(cmd *cobra.Command, names []string) {
	for _, name := range names {
		if err := cmd.Flags().MarkHidden(name); err != nil {
			panic(err) // a flag that does not exist
		}
		if name == "data" {
			cmd.Use = cmd.Name() + " …"
		}
	}
}

func kindText(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "int":
		return "a whole number"
	case "uint64":
		return "a whole number of at least 0"
	case "float64", "float64Slice":
		return "a number with a decimal point"
	}
	return "a " + kind
}

// unknownFlag says whose flag it is, if it is another method's.
func unknownFlag(cmd *cobra.Command, name string) string {
	var others []string
	for _, e := range fitMethods() {
		f := &flagSet{cmd: &cobra.Command{Use: e.name}}
		e.make().flags(f)
		if f.cmd.Flags().Lookup(name) != nil {
			others = append(others, e.name)
		}
	}
	if len(others) > 0 {
		return fmt.Sprintf("fit %s does not use --%s, which belongs to %s", cmd.Name(), name, strings.Join(others, ", "))
	}
	return fmt.Sprintf("unknown flag --%s; see utfall fit %s --help", name, cmd.Name())
}

// fitCommon are the flags of every method.
type fitCommon struct {
	data, separator, decimal, encoding string
	id, where, format                  string
	categorical                        []string
	level                              float64
}

func (c *fitCommon) flags(f *flagSet) {
	f.text(&c.data, "data", "", "`file`: CSV, TSV, Parquet, Arrow, XLSX, DTA, SAS7BDAT, PX or JSON of PxWeb and Kolada")
	f.text(&c.separator, "separator", "", "of a text file: comma, semicolon, tab or bar (default: found out and reported)")
	f.text(&c.decimal, "decimal", "", "mark of a text file: point or comma (default: found out and reported)")
	f.text(&c.encoding, "encoding", "", "of a text file: utf-8, windows-1252, iso-8859-1, utf-16le or utf-16be (default: found out and reported)")
	f.column(&c.id, "id", "names the unit (default: row number from 1)")
	f.list(&c.categorical, "categorical", "`columns` that are categories although their values are numbers")
	f.text(&c.where, "where", "", "`expression`: keep the rows for which it is true, e.g. 'age >= 25 and region == \"north\"'")
	f.text(&c.format, "format", "text", "of the answer: json, csv or text")
	f.number(&c.level, "level", 0.95, "confidence level")
	f.need("data")
}

func (c *fitCommon) check(cols fitColumns) (problems []string) {
	problems = append(problems, oneOf("format", c.format, "json", "csv", "text")...)
	if !(c.level > 0 && c.level < 1) {
		problems = append(problems, "--level must be between 0 and 1, for example 0.95")
	}
	if c.level > 0 && c.level < 1 && c.level > 1-1e-12 {
		problems = append(problems, "--level is so near to 1 that no interval is finite")
	}
	problems = append(problems, cols.check()...)
	for _, col := range cols.list {
		if c.id != "" && col.apart && col.name == c.id {
			problems = append(problems, fmt.Sprintf("column %q is named by --id and by --%s", c.id, col.flag))
		}
	}
	if c.where != "" {
		if err := table.CheckFilterSyntax(c.where); err != nil {
			problems = append(problems, "--where: "+err.Error())
		}
	}
	for i, n := range c.categorical {
		if slices.Contains(c.categorical[:i], n) {
			problems = append(problems, fmt.Sprintf("--categorical names %q twice", n))
		}
	}
	return problems
}

// oneOf checks an option with a fixed set of values.
func oneOf(flag, value string, known ...string) []string {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	return []string{fmt.Sprintf("--%s %q is not one of %s", flag, value, strings.Join(known, ", "))}
}

// choice is oneOf with values that the interface knows and that do not exist yet.
func choice(flag, value string, built []string, unbuilt ...string) []string {
	if slices.Contains(unbuilt, value) {
		return []string{fmt.Sprintf("--%s %s is not built yet; there is: %s", flag, value, strings.Join(built, ", "))}
	}
	return oneOf(flag, value, built...)
}

// parseTimes reads a list of times: finite, not negative, each once.
func parseTimes(flag string, list []string) (out []float64, problems []string) {
	for _, s := range list {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		switch {
		case err != nil || math.IsInf(v, 0) || math.IsNaN(v):
			problems = append(problems, fmt.Sprintf("--%s: %q is not a number", flag, s))
		case v < 0:
			problems = append(problems, fmt.Sprintf("--%s: time %s is below 0", flag, s))
		case slices.Contains(out, v):
			problems = append(problems, fmt.Sprintf("--%s: time %s is given twice", flag, s))
		default:
			out = append(out, v)
		}
	}
	return out, problems
}

// parsePairs reads a list of name=number.
func parsePairs(flag string, list []string) (map[string]float64, []string) {
	if len(list) == 0 {
		return nil, nil
	}
	out := map[string]float64{}
	var problems []string
	for _, s := range list {
		at := strings.LastIndex(s, "=")
		v, err := strconv.ParseFloat(s[at+1:], 64)
		switch {
		case at < 1 || err != nil:
			problems = append(problems, fmt.Sprintf("--%s: %q is not COLUMN=NUMBER", flag, s))
		case !(v > 0) || math.IsInf(v, 0):
			problems = append(problems, fmt.Sprintf("--%s: the number of %q must be above 0", flag, s[:at]))
		default:
			if _, twice := out[s[:at]]; twice {
				problems = append(problems, fmt.Sprintf("--%s names %q twice", flag, s[:at]))
			}
			out[s[:at]] = v
		}
	}
	return out, problems
}
