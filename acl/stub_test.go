package acl

const socketVar = "X"

func starved(string) error { return nil }
