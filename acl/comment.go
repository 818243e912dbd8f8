package acl

import _ "embed" // the package comment

//go:embed doc.go
var doc string

// Doc returns the source of the package comment, of which the manual page of the wire protocol is made.
func Doc() string { return doc }
