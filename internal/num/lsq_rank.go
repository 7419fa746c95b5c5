package num

// Rank says which columns of d.X are linearly independent of those before them, by the
// rule of [LeastSquares], without fitting anything: kept and collinear column numbers,
// ascending, and the condition number of the kept columns scaled to unit length. d.Y
// is checked and not used.
func Rank(d LsqData) (kept, collinear []int, condition float64, err error) {
	if d.N < 0 || d.K < 0 || len(d.X) != d.N*d.K || len(d.Y) != d.N || (d.Weight != nil && len(d.Weight) != d.N) {
		panic("num: Rank of data of inconsistent lengths")
	}
	scale, err := d.scales()
	if err != nil {
		return nil, nil, 0, err
	}
	kept, r := dropCollinear(d.triangle(scale), d.K, CollinearTolerance)
	condition = 1
	if len(kept) > 0 {
		condition = equilibratedCondition(r, len(kept))
	}
	for j, next := 0, 0; j < d.K; j++ {
		if next < len(kept) && kept[next] == j {
			next++
			continue
		}
		collinear = append(collinear, j)
	}
	return kept, collinear, condition, nil
}
