# Writes the Stata files of this folder from made-up data, and dta.csv, which has what
# ingest must read from them. R 4.2, foreign 0.8.84, readstata13, haven 
# Run in this folder: Rscript dta.R
n <- 7
d <- data.frame(
  id = c("a1", "b\u00e52", "c3", "d4", "e5", "f\u00d66", "g7"),
  whole = c(1L, -3L, NA, 2147483620L, 40000L, 7L, 0L),
  real = c(0.1, -2.5, 1e300, NA, 3, 1/3, -0),
  stringsAsFactors = FALSE
)
d$day <- as.Date(c("1960-01-01", "1959-12-31", "2024-02-29", NA, "2000-01-01", "1900-03-01", "2020-12-31"))
d$sex <- factor(c("man", "woman", "woman", "man", NA, "man", "woman"))
latin <- d
latin$id <- iconv(d$id, "UTF-8", "windows-1252")
Encoding(latin$id) <- "bytes"
library(readstata13)
for (v in c(117, 118, 119)) save.dta13(d, sprintf("r%d.dta", v), version = v, compress = FALSE)
for (v in c(113, 114, 115)) save.dta13(d, sprintf("r%d.dta", v), version = v)
# foreign writes 113 (version 8) and 114 (version 10); it does not convert text.
plain <- d
plain$id <- c("a1", "b2", "c3", "d4", "e5", "f6", "g7")
foreign::write.dta(plain, "foreign113.dta", version = 8L)
foreign::write.dta(plain, "foreign115.dta", version = 12L)
haven::write_dta(d, "haven118.dta", version = 14)
haven::write_dta(d, "haven119.dta", version = 15)
haven::write_dta(plain, "haven117.dta", version = 13)
csv <- d
csv$whole <- format(d$whole, scientific = FALSE, trim = TRUE)
csv$real <- formatC(d$real, digits = 17, format = "g")
csv$whole[is.na(d$whole)] <- ""
csv$real[is.na(d$real)] <- ""
write.csv(csv, "dta.csv", row.names = FALSE, na = "", quote = FALSE, fileEncoding = "UTF-8")
