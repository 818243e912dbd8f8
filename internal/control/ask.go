package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Ask sends a request to the daemon at a socket and reads its reply into reply. The error wraps that of the system if
// there is no daemon or the socket is not ours to open, and is a *Refusal if the daemon says no.
func Ask(socket string, q Request, reply any) error {
	c, err := net.DialTimeout("unix", socket, deadline)
	if err != nil {
		return err
	}
	defer c.Close()
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		return err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(c, maxReply))
	if err != nil {
		return err
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("no reply of eximpolicyd's: %w", err)
	}
	if a.Error != "" {
		return &Refusal{errors.New(a.Error)}
	}
	return json.Unmarshal(a.Reply, reply)
}

// Refusal is what the daemon says instead of a reply.
type Refusal struct{ error }
