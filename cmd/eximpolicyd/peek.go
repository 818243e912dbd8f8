package main

import (
	"context"
	"log/slog"
	"net"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"

	"eximpolicyd/internal/origin"
)

func peekCommand() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "peek",
		Short: "tell the daemon the program and directory of a process (eximpolicyd-peek.service)",
		Long: `Tell the daemon which program a process runs, in which directory and with which arguments. The kernel tells program and
directory of another user's process only to who has the capability CAP_SYS_PTRACE. The daemon shall have none, so this is a
helper of its own, which does nothing else, and it is optional: without it the daemon knows uid and directory of who sends
mail, and not the script.

It is started by eximpolicyd-peek.socket and not by hand, and answers root and the daemon's user only.`,
		Example: "  systemctl enable --now eximpolicyd-peek.socket",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return peek(cmd.Context(), user, log)
		},
	}
	cmd.Flags().StringVar(&user, "user", "eximpolicyd", "`USER` that may ask, besides root")
	return cmd
}

func peek(ctx context.Context, user string, log *slog.Logger) error {
	uid, ok := origin.UID(user)
	if !ok {
		return fail(exConfig, "--user names the daemon's user", "there is no user %q", user)
	}
	given, err := activation.Listeners()
	if err != nil {
		return fail(exUnavailable, "", "cannot take systemd's socket: %w", err)
	}
	var l *net.UnixListener
	if len(given) == 1 {
		l, _ = given[0].(*net.UnixListener)
	}
	if l == nil {
		return fail(exUsage, "it is started by eximpolicyd-peek.socket", "systemd passes no socket to listen on")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	p := origin.Peek{Allowed: func(u uint32) bool { return u == 0 || u == uid }, Log: log}
	return p.Serve(ctx, l)
}
