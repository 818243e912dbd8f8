package main

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// overTCP connects callers in Postfix's protocol to a port.
func overTCP(port int, verdict func(string) (bool, error)) func(*site) (asker, error) {
	return func(*site) (asker, error) {
		return delegate(func() (int, error) { return dialTCP(port) }, verdict)
	}
}

// begins reads an action by its first words.
func begins(listed, unlisted string) func(string) (bool, error) {
	return func(action string) (bool, error) {
		is := strings.HasPrefix(action, listed)
		if !is && !strings.HasPrefix(action, unlisted) {
			return false, fmt.Errorf("unexpected action %q", action)
		}
		return is, nil
	}
}

// postfwd refuses who is on two lists. It has a process for each caller, no log, and its cache of requests looks at the
// client alone.
func postfwd() *peer {
	const port = 10045
	return &peer{name: "postfwd", lists: true,
		start: func(s *site) error {
			zones := make([]string, lists)
			for i := range zones {
				zones[i] = listZone(i)
			}
			err := s.write("postfwd.cf", "id=LISTS; rbl="+strings.Join(zones, ",")+"; rblcount=all; action=set(HIT_lists=$$rblcount)\n"+
				"id=REFUSE; HIT_lists>=2; action=REJECT listed\n")
			if err != nil {
				return err
			}
			return s.run("postfwd2", "--file", s.path("postfwd.cf"), "--server_socket", fmt.Sprint("tcp:127.0.0.1:", port),
				"--cache_socket", "unix::"+s.path("cache"), "--pidfile", s.path("pid"), "--user", "nobody", "--group", "nogroup",
				"--perfmon", "--cache", "3600", "--cacheid", "client_address", "--min_servers", fmt.Sprint(callers), "--max_servers", fmt.Sprint(callers+8),
				"--min_spare_servers", "1", "--max_spare_servers", fmt.Sprint(callers))
		},
		connect: overTCP(port, begins("REJECT listed", "DUNNO")),
	}
}

// policydWeight refuses who is on two lists; its own rules on greeting and sender weigh too little to count. Its caches
// hold every client of the run, for as long as it lasts.
func policydWeight() *peer {
	const port = 12525
	log := -1
	return &peer{name: "policyd-weight", lists: true,
		start: func(s *site) (err error) {
			// It logs each decision to syslog, and ends where there is none. This one is as fast as one can be: what it is
			// sent falls on the floor.
			if log, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			if err := unix.Bind(log, &unix.SockaddrInet4{Port: 514, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				return err
			}
			var zones strings.Builder
			for i := range lists {
				fmt.Fprintf(&zones, "'%s', 20, 0, 'L%d',\n", listZone(i), i)
			}
			err = s.write("conf", fmt.Sprintf(`@dnsbl_score = (
%[2]s);
@rhsbl_score = ();
$MAXDNSBLHITS = 8; $MAXDNSBLSCORE = 1000; $REJECTLEVEL = 40; $DEFER_STRING = '';
$CACHESIZE = 300000; $CACHEMAXSIZE = 400000; $POSCACHESIZE = 300000; $POSCACHEMAXSIZE = 400000;
$PTTL = 1000000000; $PTIME = '1d'; $TEMP_PTIME = '0s'; $NTTL = 1000000000; $NTIME = 0;
$LOCKPATH = '%[1]s/lock/'; $SPATH = $LOCKPATH.'sock'; $PIDFILE = '%[1]s/pid';
$BIND_ADDRESS = '127.0.0.1'; $TCP_PORT = %[3]d; $MIN_PROC = %[4]d; $MAX_PROC = 50;
$USER = 'nobody'; $GROUP = 'nogroup'; $NS = '127.0.0.1'; $syslog_socktype = 'inet';
`, s.dir, &zones, port, callers))
			if err != nil {
				return err
			}
			return s.run("sh", "-c", `mkdir -m 700 lock && chown nobody:nogroup lock && exec policyd-weight -D -f "$1" start`, "sh", s.path("conf"))
		},
		connect: overTCP(port, begins("550 ", "PREPEND ")),
	}
}

// postgrey remembers the triplets of client, sender and recipient, in Berkeley DB.
func postgrey() *peer {
	return &peer{name: "postgrey",
		start: func(s *site) error {
			return s.run("postgrey", "--unix="+s.path("sock"), "--dbdir="+s.dir, "--user=nobody", "--group=nogroup", "--pidfile="+s.path("pid"),
				"--lookup-by-host", "--auto-whitelist-clients=0", "--quiet", "--listen-queue-size=256")
		},
		connect: func(s *site) (asker, error) {
			open := func() (int, error) {
				fd, err := dial(&unix.SockaddrUnix{Name: s.path("sock")})
				if err == nil {
					err = patient(fd)
				}
				return fd, err
			}
			return delegate(open, begins("none", "DEFER_IF_PERMIT "))
		},
	}
}
