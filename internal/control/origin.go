package control

// Stamps are what says where messages of ours came from.
type Stamps interface {
	// Origin tells a header field; the error says why it is none.
	Origin(field string) (Origin, error)
	// Rekey signs with a new key from now on, and returns its id.
	Rekey() (id string, err error)
	// Forget removes an account and returns how often it stood there; the error says that the disk still has it.
	Forget(account string) (int, error)
}

// Origin is the reply to Whose: what this host knows of a header field. Texts are escaped as strconv.Quote does.
type Origin struct {
	Known     bool    `json:"known"`             // the field names a key of this host
	Signed    bool    `json:"signed"`            // and is signed with it, so that what follows is true
	Account   string  `json:"account,omitempty"` // empty: not known, or forgotten
	UID       *uint32 `json:"uid,omitempty"`     // of an account of this machine
	Directory string  `json:"directory,omitempty"`
	Program   string  `json:"program,omitempty"`
}

// Rekeyed is the reply to Rekey.
type Rekeyed struct {
	Key string `json:"key"` // its id
}

// stamps does what is asked of them.
func (s *Server) stamps(q *Request) (any, error) {
	switch {
	case s.Stamps == nil:
		return nil, refuse(Failed, "this daemon makes no stamps")
	case q.Request == Rekey:
		id, err := s.Stamps.Rekey()
		return Rekeyed{Key: id}, err
	}
	told, err := s.Stamps.Origin(q.Stamp)
	if err != nil {
		return nil, refuse(Wrong, "%w", err)
	}
	return told, nil
}

// named removes an account from the stamps as well.
func (r *Erased) named(s Stamps, account, login string) {
	if s == nil {
		return
	}
	for _, name := range []string{account, login} {
		n, err := s.Forget(name)
		r.Names += n
		r.Unsaved.Unsaved = r.Unsaved.Unsaved || err != nil
	}
}
