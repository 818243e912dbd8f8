package origin

import (
	"strings"
	"testing"
)

func TestTheSenderIsTheNearestThatIsNoMailProgramAndNoShellThatStartsOne(t *testing.T) {
	shell := Process{Exe: "/usr/bin/dash", Dir: "/home/site", Args: []string{"sh", "-c", "/usr/sbin/sendmail -t -i"}}
	sendmail := Process{Exe: "/usr/sbin/exim4", Args: []string{"/usr/sbin/sendmail", "-t"}}
	php := Process{Exe: "/usr/bin/php8.2", Dir: "/home/site", Args: []string{"php", "-f", "send.php", "x"}}
	for _, c := range []struct {
		name         string
		chain        []Process
		script, args string
	}{
		{"nobody is known", nil, "", ""},
		{"only a shell and a mail program", []Process{sendmail, shell}, "", ""},
		{"PHP's mail function", []Process{shell, php}, "/home/site/send.php", "php -f send.php x"},
		{"a script of the shell's is a script", []Process{{Exe: "/usr/bin/dash", Dir: "/x", Args: []string{"/bin/sh", "cron.sh"}}, php}, "/x/cron.sh", "/bin/sh cron.sh"},
		{"a script whose text is an argument", []Process{shell, {Exe: "/usr/bin/perl", Args: []string{"perl", "-e", "mail()"}}}, "/usr/bin/perl", "perl -e mail()"},
		{"a module of the web server's", []Process{shell, {Exe: "/usr/sbin/apache2", Args: []string{"/usr/sbin/apache2", "-k", "start"}}}, "/usr/sbin/apache2", "/usr/sbin/apache2 -k start"},
		{"what we may not look at is what it calls itself", []Process{{Name: "sh", Args: []string{"sh", "-c", "x"}}, {Name: "php", Args: []string{"/opt/php", "a.php"}}}, "a.php", "/opt/php a.php"},
		{"a program whose file is gone", []Process{{Exe: "/tmp/.x (deleted)", Args: []string{"[kworker/0:1]"}}}, "/tmp/.x", "[kworker/0:1]"},
		{"a program that has no arguments", []Process{{Name: "x\n"}}, "x\n", ""},
	} {
		if script, args := Sender(c.chain); script != c.script || args != c.args {
			t.Errorf("%s: %q, %q", c.name, script, args)
		}
	}
	long := strings.Repeat("x", 4000)
	if script, args := Sender([]Process{{Exe: "/" + long, Args: []string{long}}}); len(script) != maxText || len(args) != maxSenderArgs {
		t.Errorf("%d and %d octets", len(script), len(args))
	}
}
