// Package table is the one in-memory data set: a typed, read-only view over Arrow
// columns, with roles, units and validity. A missing value is an entry that is not
// valid, never NaN, -9 or 0.
package table
