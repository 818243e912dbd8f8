// Package manual writes the manual pages, out of what the program itself works by, so that they cannot go stale: the tree
// of commands with their help texts and flags, the table of the configuration's keys, the table of the policies, and the
// package comments that describe the wire protocol and the scenarios, each the only description of its subject. What no
// table has, prose about the daemon and about each rule, stands under text/, and a test holds its headings against the
// table of the policies.
//
// The pages are in the macros of mdoc(7), which man-db and mandoc both read. Texts are in the markup of Go's doc comments
// (go doc go/doc/comment), as help texts are: paragraphs, "# headings", lists, and indented lines, which stay as they are,
// or become a list of terms if they have two columns.
//
// Cobra's own generator is not used: it makes pages of man(7) by way of markdown, with two libraries that the daemon would
// carry, one page for each of ban list, ban add, ban remove and ban why, and none of what a command's text says about exit
// codes and files in its place.
package manual
