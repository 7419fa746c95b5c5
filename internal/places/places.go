// Package places knows the municipalities of Sweden by their codes: which there are, and
// where each stands on a grid on which every municipality takes one square.
package places

import "strings"

// codes are the 290 codes of Statistics Sweden (since 2007): county, two digits, then the rest.
const codes = `0114 0115 0117 0120 0123 0125 0126 0127 0128 0136 0138 0139 0140 0160 0162 0163 0180 0181 0182 0183 0184 0186 0187 0188 0191 0192
0305 0319 0330 0331 0360 0380 0381 0382 0428 0461 0480 0481 0482 0483 0484 0486 0488 0509 0512 0513 0560 0561 0562 0563 0580 0581 0582 0583 0584 0586
0604 0617 0642 0643 0662 0665 0680 0682 0683 0684 0685 0686 0687 0760 0761 0763 0764 0765 0767 0780 0781
0821 0834 0840 0860 0861 0862 0880 0881 0882 0883 0884 0885 0980 1060 1080 1081 1082 1083
1214 1230 1231 1233 1256 1257 1260 1261 1262 1263 1264 1265 1266 1267 1270 1272 1273 1275 1276 1277 1278 1280 1281 1282 1283 1284 1285 1286 1287 1290 1291 1292 1293
1315 1380 1381 1382 1383 1384 1401 1402 1407 1415 1419 1421 1427 1430 1435 1438 1439 1440 1441 1442 1443 1444 1445 1446 1447 1452 1460 1461 1462 1463 1465 1466
1470 1471 1472 1473 1480 1481 1482 1484 1485 1486 1487 1488 1489 1490 1491 1492 1493 1494 1495 1496 1497 1498 1499
1715 1730 1737 1760 1761 1762 1763 1764 1765 1766 1780 1781 1782 1783 1784 1785 1814 1860 1861 1862 1863 1864 1880 1881 1882 1883 1884 1885
1904 1907 1960 1961 1962 1980 1981 1982 1983 1984 2021 2023 2026 2029 2031 2034 2039 2061 2062 2080 2081 2082 2083 2084 2085
2101 2104 2121 2132 2161 2180 2181 2182 2183 2184 2260 2262 2280 2281 2282 2283 2284 2303 2305 2309 2313 2321 2326 2361 2380
2401 2403 2404 2409 2417 2418 2421 2422 2425 2460 2462 2463 2480 2481 2482 2505 2506 2510 2513 2514 2518 2521 2523 2560 2580 2581 2582 2583 2584`

// Codes are the codes of the municipalities, in order.
func Codes() []string { return strings.Fields(codes) }

// letters name the counties as number plates once did, by the county's code.
var letters = map[string]string{
	"01": "AB", "03": "C", "04": "D", "05": "E", "06": "F", "07": "G", "08": "H", "09": "I", "10": "K", "12": "M", "13": "N", "14": "O",
	"17": "S", "18": "T", "19": "U", "20": "W", "21": "X", "22": "Y", "23": "Z", "24": "AC", "25": "BD",
}

// Letter is the county letter of a municipality's code (AB for 0180), or "".
func Letter(code string) string {
	if len(code) < 2 {
		return ""
	}
	return letters[code[:2]]
}

// layout draws the counties with a letter a municipality, north up: own work, from where the
// counties lie. a = AC, b = BD, l = AB.
const layout = `
......bbbb....
.....bbbbb....
.....bbbbb....
....aaaaa.....
....aaaaa.....
....aaaaa.....
..zzzyyy......
..zzzyyyy.....
..zzxxxx......
..wwwxxxx.....
..wwwxx.......
..wwwuuccc....
.swwwuuccc....
.swwwuuccLLL..
sssstuuuLLLLL.
ssssttuLLLLLL.
sssstttLLLLLL.
.sstttddLLLLLL
oootttddddd...
oooooeddee....
oooooeeeee....
ooooofeeeee...
ooooofffhhh...
ooooofffhhh.i.
ooooooffhhh...
oooooofffhh...
oooooofgggh...
.ooonggggkk...
.nnnnngkkk....
.mmmmmmmm.....
.mmmmmmmmm....
.mmmmmmmm.....
..mmmmmmmm....`

// Tile is the square of a municipality, from 0, north up.
type Tile struct {
	Code     string
	Col, Row int
}

// Columns and Rows are the size of the grid.
const (
	Columns = 14
	Rows    = 33
)

// Tiles place every municipality once. Within a county they follow the order of their
// codes, row by row: near is not always next.
func Tiles() []Tile {
	left := map[string][]string{} // letter → codes not placed yet
	for _, c := range Codes() {
		left[Letter(c)] = append(left[Letter(c)], c)
	}
	var out []Tile
	for r, line := range strings.Fields(layout) {
		for c, sign := range line {
			if sign == '.' {
				continue
			}
			letter := strings.ToUpper(string(sign))
			switch sign {
			case 'a':
				letter = "AC"
			case 'b':
				letter = "BD"
			case 'L':
				letter = "AB"
			}
			out = append(out, Tile{left[letter][0], c, r})
			left[letter] = left[letter][1:]
		}
	}
	return out
}
