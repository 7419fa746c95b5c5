package study

// methodInfo says what a method of the study file computes: what explain prints.
type methodInfo struct {
	estimand, equation, errors, source, documented string
}

// synthText is a method with a mixture of places; they differ in how it is made.
func synthText(weights string) methodInfo {
	return methodInfo{
		"the average effect per period on the treated places",
		"θ = mean over the periods from the start of the gap between the treated and Σ ω·(never-treated places); " + weights,
		"as inference says: placebo (controls called treated), jackknife, bootstrap: normal distribution; conformal: permuted periods, no standard error",
		"Abadie, Diamond and Hainmueller (2010), JASA 105(490); Arkhangelsky et al. (2021), AER 111(12); Ben-Michael, Feller and Rothstein (2021), JASA 116(536); Athey et al. (2021), JASA 116(536); Xu (2017), Political Analysis 25(1); Chernozhukov, Wüthrich and Zhu (2021), JASA 116(536)",
		"study/METHODS.md, estimate/panel/METHODS.md",
	}
}

var methodTexts = map[string]methodInfo{
	"effect.difference": {
		"the average effect on the participants that were matched; in a weighted cohort, and with a grace period, on those whom the term names (ate all, atc the others, ato and atm those alike)",
		"θ = weighted mean of the outcome among the treated minus that among their matched comparison units",
		"as vcov in the study file says: cr1 is clustered on matched sets, or on people without pairs (G/(G-1)·(N-1)/(N-K), Student's t on G-1 degrees of freedom), hc1 heteroskedasticity-robust",
		"Abadie and Spiess (2022), Robust Post-Matching Inference, JASA 117(538)",
		"estimate/effect/METHODS.md",
	},
	"effect.regression": {
		"the average effect on the participants that were matched; in a weighted cohort, and with a grace period, on those whom the term names (ate all, atc the others, ato and atm those alike)",
		"θ = coefficient of treatment in the weighted least-squares regression of the outcome on treatment and covariates in the matched cohort (with interactions: covariates centred at the treated mean)",
		"as vcov in the study file says: cr1 is clustered on matched sets, or on people without pairs (G/(G-1)·(N-1)/(N-K), Student's t on G-1 degrees of freedom), hc1 heteroskedasticity-robust",
		"Abadie and Spiess (2022), JASA 117(538); Ho, Imai, King and Stuart (2007)",
		"estimate/effect/METHODS.md",
	},
	"effect.g-computation": {
		"the average effect on the participants",
		"θ = mean over the participants of their predicted outcome with the measure minus that without it; predictions by a regression of the outcome on background in each group (logistic for 0/1)",
		"of the stacked estimating equations; as vcov in the study file says: cr clustered on people, Student's t on G-1 degrees of freedom",
		"Robins (1986), Mathematical Modelling 7; Stefanski and Boos (2002), American Statistician 56(1)",
		"estimate/effect/METHODS.md",
	},
	"effect.ipw": {
		"the average effect on the participants",
		"θ = mean outcome of the participants minus the mean of the comparison people weighted by p/(1-p), p the probability of taking part by logistic regression",
		"of the stacked estimating equations, the propensity step in them; as vcov in the study file says: cr clustered on people, Student's t on G-1 degrees of freedom",
		"Lunceford and Davidian (2004), Statistics in Medicine 23(19)",
		"estimate/effect/METHODS.md",
	},
	"effect.aipw": {
		"the average effect on the participants",
		"θ = as ipw, of the outcome less its prediction by regression, plus the difference of predictions: right when one of the two models is",
		"of the stacked estimating equations, both models in them; as vcov in the study file says: cr clustered on people, Student's t on G-1 degrees of freedom",
		"Robins, Rotnitzky and Zhao (1994), JASA 89(427); Bang and Robins (2005), Biometrics 61(4)",
		"estimate/effect/METHODS.md",
	},
	"effect.tmle": {
		"the average effect on the participants",
		"θ = as g-computation, the predictions moved by a logistic fluctuation along the propensity weights until the efficient score is zero",
		"from the efficient influence function; as vcov in the study file says: cr clustered on people, Student's t on G-1 degrees of freedom",
		"van der Laan and Rose (2011), Targeted Learning",
		"estimate/effect/METHODS.md",
	},
	"effect.dml": {
		"the average effect on those whom the term names (att the participants, atc the others, ate all, ato those alike)",
		"θ = as aipw, with models that never saw the person they predict for (cross-fitting over a keyed hash of the person); the median over several splits",
		"from the efficient influence function; variance: median over the splits of V + (θ_r - θ)²; as vcov in the study file says: cr clustered on people or pairs, Student's t on G-1 degrees of freedom",
		"Chernozhukov and others (2018), Econometrics Journal 21(1)",
		"estimate/effect/METHODS.md",
	},
	"effect.bias-corrected-matching": {
		"the average effect on those whom the term names (att the participants, atc the others, ate all)",
		"θ = mean difference between a person and the nearest in the other group, with replacement and all ties, less what a regression says of the background that still differs",
		"Abadie and Imbens: of the effect over people, and of the outcome given background by the 4 nearest of the same group; normal distribution",
		"Abadie and Imbens (2006), Econometrica 74(1); (2011), J. Business and Economic Statistics 29(1)",
		"estimate/effect/METHODS.md",
	},
	"course": {
		"the average effect on the participants that were matched on being in the states, in each month from the start; with a base month, on the change since then",
		"θ_m = difference between the groups' shares in month m (with covariates, by regression), people seen in every month; overall: the mean over the months after the start",
		"as vcov in the study file says; intervals of all months at once by the sup-t of people's influence functions (uniform), or of each month alone (pointwise)",
		"Montiel Olea and Plagborg-Møller (2019), J. Applied Econometrics 34(1)",
		"estimate/effect/METHODS.md, study/METHODS.md",
	},
	"trust": {
		"how far another number of the study may be trusted: what a hidden cause would have to do, whether the number rests on one group or on outcomes nobody knows, and what the same method finds where nothing can be found",
		"e-value R+√(R(R-1)) of the risk ratio; Rosenbaum's Γ at which the pairs' test no longer rejects; robustness value of an omitted covariate; exact refits without each group; shift of missing outcomes at which the interval touches 0; claimed effect less the mean error of negative controls (in standard deviations of the outcomes), its variance with their spread",
		"those of the claimed effect; the calibrated one also has the spread of the controls' errors and their covariance, Student's t with Satterthwaite's degrees of freedom",
		"VanderWeele and Ding (2017); Rosenbaum (2002); Cinelli and Hazlett (2020); Yan, Lee and Li (2009); Schuemie et al. (2014, 2018); Schuirmann (1987)",
		"estimate/sensitivity/METHODS.md",
	},
	"reconcile": {
		"how far the effect on municipalities is from what the effect on participants accounts for: no effect of its own",
		"implied = effect on a participant x share of the population that took part x per; difference = municipal - implied; needed = municipal / share",
		"errors: any adds the two standard errors, which holds however they go together; independent takes the root of the sum of their squares. Student's t on the fewer degrees of freedom of the two",
		"Crépon, Duflo, Gurgand, Rathelot and Zamora (2013), Quarterly Journal of Economics 128(2), for why the levels differ",
		"study/METHODS.md",
	},
	"did": {
		"ATT(g,t): the average effect in period t on the units first treated in period g, and averages of them",
		"ATT(g,t) = the change from the base period to t among group g minus that among the comparison units, adjusted for covariates (doubly robust); aggregates are means weighted by group size",
		"inference: standard: from the influence function, including the estimated group shares; normal distribution or simultaneous bands by multiplier bootstrap. inference: auto: what the numbers of treated and comparison units allow, named in conf_method (adjusted cluster errors on Student's t where there are enough)",
		"Callaway and Sant'Anna (2021), J. Econometrics 225(2); Sant'Anna and Zhao (2020), J. Econometrics 219(1)",
		"estimate/panel/METHODS.md",
	},
	"triple": {
		"ATT(g,t) on the eligible part of the units first treated in period g, in period t, and averages of it",
		"ATT(g,t) = the change since the base period of the eligible part of group g less that of its other part, minus the same in units not yet treated (each later group by itself, weighed by the inverse covariance), adjusted for covariates (doubly robust)",
		"from the influence function, both parts of a unit together, including the estimated group shares; normal distribution or simultaneous bands by multiplier bootstrap",
		"Olden and Møen (2022), Econometrics J. 25(3); Ortiz-Villavicencio and Sant'Anna (2025), arXiv:2505.09942",
		"estimate/panel/METHODS.md, study/METHODS.md",
	},
	"switching": {
		"the effect of the treatment path since its first change instead of staying at the first treatment, by time since the change; overall: per unit and period of treatment",
		"event=E = Σ w·S·DID/Σ w, DID the change from the last period before the first change to E periods after it less the mean of units with the same first treatment that have not changed, S its direction; overall = Σ w·S·DID / Σ w·S·(treatment − first treatment); covariates: the outcome is taken less what their changes say among units that have not changed",
		"errors: analytic: given the treatments, around the mean of switchers with the same period, treatment and direction and of those they are compared with, factor n/(n-1); bootstrap: clusters drawn anew. Normal distribution or simultaneous bands",
		"de Chaisemartin and D'Haultfœuille (2020), AER 110(9); (2024), Rev. Econ. Statistics",
		"estimate/panel/METHODS.md, study/METHODS.md",
	},
	"dose": {
		"the mean effect per period, from treatment on, of a size of the treatment on units that got it; its slope, which is the effect of more treatment only under strong parallel trends",
		"δ = mean over the periods from entry of the unit's change since the base period less that of comparison units; dose=D = ψ(D)'β, β the weighted least squares of δ on a polynomial or spline ψ of the size; acrt=D = ψ'(D)'β",
		"from the influence function, comparison units included, summed by cluster; normal distribution",
		"Callaway, Goodman-Bacon and Sant'Anna (2024), NBER 32117",
		"estimate/panel/METHODS.md, study/METHODS.md",
	},
	"progress": {
		"three headlines that are never merged: how many more months participants were on a higher step of a declared ladder than comparable people; how many more of 100 are forecast to support themselves for good; how many more of 100 changed for the better by their own answers, those who fared worse subtracted",
		"net months = ∫ Σ_{j>k} [p₁j·p₀k − p₀j·p₁k] dt; forecast = mean of the efficient influence function of the surrogate index (rectified once a third of the outcomes have come); net share = mean over plausible values of P(Δθ > MIC) − P(Δθ < −MIC), participants less comparison people",
		"influence functions summed over clusters (those of the net share joined by Rubin's rules); the intervals of the three hold together (max-t of the joint influence functions)",
		"Mao (2023), Biometrics 79(1); Athey, Chetty, Imbens and Kang (2025), Review of Economic Studies; Mislevy (1991), Psychometrika 56(2)",
		"estimate/progress/METHODS.md",
	},
	"synth.sc":        synthText("ω ≥ 0, Σω = 1, least squared gap before the start"),
	"synth.sdid":      synthText("ω ≥ 0, Σω = 1, least variance of the gap before the start with a penalty on ω; less the gap weighted over the periods before that are like those after"),
	"synth.did":       synthText("ω = 1/N0; less the mean gap before the start"),
	"synth.augmented": synthText("ω of sc and a ridge regression of what gap is left before the start"),
	"synth.mc":        synthText("the untreated outcome from unit effects, period effects and a matrix of low rank, fitted to all untreated rows"),
	"synth.ife":       synthText("the untreated outcome from unit effects, period effects and the common factors of the never treated"),
	"spillover": {
		"the average effect on treated places, and on untreated places while some of their neighbours are treated",
		"mean change of the places since the last period before they or a neighbour were treated, less that of places neither treated nor exposed by then, adjusted for covariates by regression among those",
		"cr2 over the clusters, Student's t on Satterthwaite's degrees of freedom; who starts when is given",
		"Butts (2021), arXiv:2105.03737; Clarke (2017)",
		"study/METHODS.md, estimate/panel/METHODS.md",
	},
	"displacement": {
		"the average effect on those who do not take part, and on those who do, by how many take part where they live",
		"y = α + Σ_b (β_b·P·B_b + δ_b·(1 - P)·B_b) + x'γ + ε by least squares, B_b the level of the place's intensity: δ on others, β on participants, against people in places of intensity 0; within = β - δ, net = s·β + (1 - s)·δ",
		"cr2 clustered on places, Student's t on Satterthwaite's degrees of freedom",
		"Crépon, Duflo, Gurgand, Rathelot and Zamora (2013), Quarterly Journal of Economics 128(2)",
		"study/METHODS.md, estimate/panel/METHODS.md",
	},
	"trends": {
		"how far an effect of staggered entry can be trusted: other estimators of it, its robustness to trends that are not parallel, what the test before entry could have found, entry moved earlier, outcomes that entry cannot change",
		"honest: the smallest M at which an interval that allows departures of size M (of the largest step before entry, or of the slope) has 0 in it; detectable-slope: the straight line that the joint test of effects before entry rejects in 80 %; bias-of-slope: the mean error of the effect under it where the test does not reject",
		"of the estimator or interval named; numbers without an interval are functions of the effects' covariance",
		"Rambachan and Roth (2023), Rev. Econ. Studies 90(5); Roth (2022), AER: Insights 4(3); Goodman-Bacon (2021), J. Econometrics 225(2)",
		"estimate/panel/METHODS.md",
	},
	"time_to": {
		"the difference in how many participants and matched comparison people have come to the states by a month, where other states preclude it, and in the months they have been there by then",
		"F(t) = Σ S(t-)·dN/Y (Aalen and Johansen, states that preclude it as causes of their own, weights of the design); months: the area between the two F up to tau; hazard ratio: Cox regression (competing events as censored) or Fine and Gray",
		"from influence functions, summed over the people and sets that belong together, G/(G-1) for shares and months, no factor for the ratio; normal distribution",
		"Aalen and Johansen (1978), Scand. J. Statistics 5; Andersen, Geskus, de Witte and Putter (2012), Int. J. Epidemiology 41(3); Fine and Gray (1999), JASA 94(446)",
		"estimate/survive/METHODS.md",
	},
	"states": {
		"the probability of being in each state at each time, and the mean time in it up to the horizon; with a ladder, how many more months the treated are on a higher step than comparable people, months on a lower step subtracted",
		"Aalen–Johansen: p(t) = p(0)·Π(I + dÂ(u)); net months = ∫ Σ_{j>k} [p₁j·p₀k − p₀j·p₁k] dt over 0..τ",
		"from the influence function of each person; summed within matched sets where the groups are matched",
		"Aalen and Johansen (1978); Datta and Satten (2001); Mao (2023) for the restricted mean time in favour",
		"estimate/survive/METHODS.md, estimate/progress/METHODS.md",
	},
	"missing": {
		"what the effect can be where people or their values are missing: bounds, and the effect with gaps filled or people weighted to stand for others",
		"worst-case: unknown outcomes set to the lowest and the highest; lee: the group known more often trimmed to the share known in the other; indicator: regression with marks of missing covariates; imputation: chained equations in each group, pooled by Rubin's rules; consent-weights: weights by the inverse probability of a known outcome",
		"bounds: interval of the effect by Imbens and Manski; imputation: Student's t on Barnard and Rubin's degrees of freedom; otherwise as in the analysis it is of, the weights taken as known",
		"Manski (1990), AER 80(2); Lee (2009), Rev. Econ. Studies 76(3); Imbens and Manski (2004), Econometrica 72; van Buuren (2018); Barnard and Rubin (1999), Biometrika 86; Seaman and White (2013), Stat. Methods Med. Res. 22",
		"estimate/missing/METHODS.md, study/METHODS.md",
	},
	"places": {
		"the effect on the participants of each place, and how much places differ",
		"θ_f = difference in means within the place; yᵢ = μ + uᵢ + eᵢ, V(uᵢ) = τ²; shown is λᵢyᵢ + (1-λᵢ)μ̂, λᵢ = τ²/(τ²+vᵢ)",
		"within a place as in the analysis it is of; of μ by Knapp and Hartung on k-1 degrees of freedom or normal",
		"DerSimonian and Laird (1986); Viechtbauer (2005), J. Educ. Behav. Stat. 30; Knapp and Hartung (2003), Stat. Med. 22; Spiegelhalter (2005), Stat. Med. 24 for the funnel",
		"study/METHODS.md, estimate/combine/METHODS.md",
	},
	"before_after": {
		"the participants' own change from before to after: not an effect",
		"mean after minus mean before, same people",
		"of the paired difference, Student's t",
		"",
		"study/METHODS.md",
	},
	"describe": {
		"a description of the data",
		"share of each level, mean",
		"of a mean s/√n, Student's t on n-1; none of a share of a level",
		"",
		"study/METHODS.md",
	},
}
