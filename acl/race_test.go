//go:build race

package acl

const raceDetector = true
