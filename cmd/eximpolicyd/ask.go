package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"eximpolicyd/acl"
)

// askTimeout is that of Exim's snippet.
const askTimeout = 3 * time.Second

func askCommand() *cobra.Command {
	var socket, configFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ask NAME=VALUE...",
		Short: "ask the running daemon, as Exim does",
		Long: `Send one request to the running daemon and print its reply. The names are those of the wire protocol
(eximpolicyd-protocol(7)). The daemon answers only uids of listen.peers: run it as root, as Exim's user or as the daemon's.`,
		Example: `  eximpolicyd ask protocol_state=RCPT client_address=203.0.113.7 helo_name=localhost recipient=a@example.com`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fail(exUsage, "try eximpolicyd "+cmd.Example[len("  eximpolicyd "):], "no request given")
			}
			pairs, err := parsePairs(args)
			if err != nil {
				return err
			}
			if socket == "" {
				conf, err := load(configFile)
				if err != nil {
					return err
				}
				socket = conf.Listen.Socket
			}
			line, err := ask(socket, pairs)
			if err != nil {
				return err
			}
			return printReply(cmd.OutOrStdout(), line, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&socket, "socket", "", "`PATH` of the daemon's socket (default: listen.socket)")
	f.StringVar(&configFile, "config", "", "configuration `FILE`, for listen.socket")
	f.BoolVar(&asJSON, "json", false, "print the reply as a JSON object")
	return cmd
}

func ask(socket string, pairs []acl.Pair) (string, error) {
	c, err := net.DialTimeout("unix", socket, askTimeout)
	if errors.Is(err, fs.ErrPermission) {
		return "", fail(exPermission, "ask as root, as Exim's user or as the daemon's", "this user may not open %s", socket)
	}
	if err != nil {
		return "", fail(exUnavailable, "is eximpolicyd serve running, and may this user open the socket?", "no daemon at %s: %w", socket, err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return "", err
	}
	if _, err := c.Write(acl.AppendRequest(nil, pairs)); err != nil {
		return "", fail(exUnavailable, "", "cannot write to %s: %w", socket, err)
	}
	line, err := io.ReadAll(io.LimitReader(c, acl.MaxReply+1))
	if err != nil {
		return "", fail(exUnavailable, "see the daemon's log", "no answer from %s: %w", socket, err)
	}
	return string(line), nil
}

func printReply(out io.Writer, line string, asJSON bool) (err error) {
	fields, err := acl.ParseReply(line)
	if err != nil {
		return fail(exUnavailable, "is this the socket of eximpolicyd?", "%w", err)
	}
	defer func() { // after printing it
		if slices.Contains(fields, acl.Pair{Name: "note", Value: acl.NotAllowed}) && err == nil {
			err = fail(exPermission, "ask as root, as Exim's user or as the daemon's, or add yourself to listen.peers", "the daemon does not answer this user")
		}
	}()
	if asJSON {
		object := make(map[string]string, len(fields))
		for _, f := range fields {
			object[f.Name] = f.Value
		}
		return jsonTo(out).Encode(object)
	}
	for _, f := range fields {
		if f.Name != "end" {
			if _, err := fmt.Fprintf(out, "%-9s %s\n", f.Name, f.Value); err != nil {
				return err
			}
		}
	}
	return nil
}
