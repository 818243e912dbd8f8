package setup

import "fmt"

// Kind says what sort of fault ends a run; the command makes an exit code of it.
type Kind int

// The kinds of fault.
const (
	Failed           Kind = iota // something broke, and what was changed is as before
	Busy                         // another run, or a signal
	Usage                        // a flavour that does not exist, or does not fit
	NoExim                       // there is no Exim
	Forbidden                    // not root, or something that others than root can change
	BadConfiguration             // Exim's configuration does not allow it
	Dirty                        // it broke, and could not be undone: the journal is kept
)

// A Fault is why nothing was done, with what to do about it.
type Fault struct {
	Kind Kind
	Err  error
	Hint string
}

// Error is the fault without the hint.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

func fault(kind Kind, hint, format string, args ...any) error {
	return &Fault{kind, fmt.Errorf(format, args...), hint}
}
