package scenario

import _ "embed" // the package comment

//go:embed doc.go
var doc string

// Doc returns the source of the package comment, of which the manual page of scenarios is made.
func Doc() string { return doc }
