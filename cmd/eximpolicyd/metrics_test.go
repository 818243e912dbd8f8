package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"eximpolicyd/internal/config"
)

func TestTheSocketOfTheMetricsIsPrivateUntilItsGroupIsRight(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	path := filepath.Join(t.TempDir(), "m")
	l, err := listenPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mode := func() os.FileMode {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if mode() != 0o600 {
		t.Errorf("at first %v", mode())
	}
	if err := openTo(path, ""); err != nil || mode() != 0o660 {
		t.Errorf("then %v, %v", mode(), err)
	}
	if err := openTo(path, "no-such-group"); err == nil || !strings.Contains(err.Error(), "metrics.group: group: unknown group no-such-group") {
		t.Error(err)
	}
}

// Whoever may write to the folder can put something else there as soon as the socket is made.
func TestWhatHasTakenThePlaceOfTheSocketIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	secret, link := filepath.Join(dir, "secret"), filepath.Join(dir, "link")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	other, toOther := filepath.Join(dir, "other"), filepath.Join(dir, "to-other")
	another, err := listenPrivate(other)
	if err != nil {
		t.Fatal(err)
	}
	defer another.Close()
	if err := os.Symlink(other, toOther); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{secret, link, toOther, filepath.Join(dir, "nothing")} {
		if err := openTo(path, ""); err == nil {
			t.Errorf("%s is opened", path)
		}
	}
	for _, path := range []string{secret, link, other, toOther} {
		if _, err := listenMetrics(config.Metrics{Socket: path}); err == nil {
			t.Errorf("%s is listened at", path)
		}
	}
	for _, path := range []string{secret, other} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	folder := filepath.Join(dir, "made")
	l, err := listenMetrics(config.Metrics{Socket: filepath.Join(folder, "m")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm()&0o700 != 0o700 {
		t.Errorf("the folder: %v, %v", info, err)
	}
	if _, err := listenMetrics(config.Metrics{Socket: filepath.Join(dir, "no", "parents", "m")}); err == nil {
		t.Error("a mistyped path became a tree")
	}
}
