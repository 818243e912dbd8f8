// Package setup puts the snippets into the Exim of this machine, takes them out again, and says what is wrong with them.
//
// Three arrangements of Exim's configuration can be written: Debian's in many files (debian-split), Debian's in one
// (debian-unsplit), and Exim's own (stock). A control panel writes its configuration itself, so there setup only checks.
//
// # What is ours
//
// Every file that setup makes begins with a line
//
//	# eximpolicyd setup 0.1.0 sha256=...
//
// with the version that made it and the checksum of what follows, and before each line that it adds to a file of the
// administrator's stands such a line with the checksum of that one line. So Check and Remove know what nobody has touched from
// what somebody has edited. No file of a package is edited: Debian has rooms for ours (conf.d, exim4.conf.localmacros), and
// Exim's own configuration is the administrator's.
//
// # In which order
//
// The whole new configuration is made in a private folder first, with a daemon of setup's own as its policy daemon, and real
// Exim is asked: -bV, then one -bh dialogue a stage and one local submission, in which that daemon must have been asked and
// nothing may be "451 Temporary local problem" (exim -bV finds no bad expansion). Only then are the real files made, those
// that nothing refers to first, and Exim's configuration last, by a rename. So Exim finds a whole configuration at every
// moment; and then it is asked once more.
//
// Before the first change a journal says what will be done (journal.go). Whatever is replaced keeps its inode under a second
// name, so that going back is only renaming and removing: it works on a full disk, and brings back owner, mode and times. A
// run that was killed is undone by the next one.
//
// # What it trusts
//
// Setup runs as root. It reads, runs and writes only what nobody but root can change, in folders that nobody but root can
// change, and follows no link (safe.go).
package setup
