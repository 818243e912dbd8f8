package config

import (
	"slices"

	"eximpolicyd/policy"
)

// Lists returns the settings of block lists, nil if none of these rules asks one: then they need no test either.
func (c *Config) Lists(rules []policy.Bound) *policy.RBL {
	s, ok := c.Policies["rbl"].Settings.(*policy.RBL)
	asks := func(b policy.Bound) bool {
		return b.Policy.Name == "rbl" && b.Mode != policy.Off && b.Needs&(policy.NeedLists|policy.NeedNameLists) != 0
	}
	if !ok || !slices.ContainsFunc(rules, asks) {
		return nil
	}
	return s
}
