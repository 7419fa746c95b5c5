// Package ingest turns bytes into validated, typed tables: it reads CSV, Arrow,
// Parquet and XLSX files by a schema, puts rows that break it into quarantine with
// the reason, refuses identifiers that must not be here, and keeps tables in a
// store that is sorted by person and divided into shards.
//
// No message of this package holds a value of the data: it names the file, the line,
// the column and what is wrong.
package ingest
