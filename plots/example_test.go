package plots_test

import (
	"context"
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/plots"
)

func ExampleForest() {
	figure, err := plots.Forest(plots.ForestData{
		Decimals: 1, PercentagePoints: true, XLabel: "Skillnad i andel i arbete",
		Groups: []plots.ForestGroup{{Heading: "Kön", Rows: []plots.ForestRow{
			{Label: "Kvinnor", Estimate: estimate.Wald("women", estimate.RiskDifference, 0.071, 0.016, math.Inf(1), 0.95)},
			{Label: "Män", Estimate: estimate.Wald("men", estimate.RiskDifference, -0.004, 0.018, math.Inf(1), 0.95)},
		}}},
	}, nil, plots.Style{Lang: lang.SV, Title: "Effekt efter kön", Subtitle: "Efter 24 månader", Caption: "Källa: simulerat register."})
	if err != nil {
		fmt.Println(err)
		return
	}
	files, err := figure.Render(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	header, _, _ := strings.Cut(string(files.CSV), "\n")
	fmt.Println(header)
	fmt.Println(strings.ReplaceAll(files.Alt, "\u00a0", " "))
	// Output:
	// heading,label,term,measure,estimate,std_error,conf_low,conf_high,conf_level,conf_method,overall,known
	// Effekt efter kön: 2 skattningar med konfidensintervall, från −0,4 procentenheter till 7,1 procentenheter; 1 av intervallen utesluter noll.
}
