package acl

// WireNames returns the names of the protocol, in the order in which the snippet sends them.
func WireNames() []string {
	var names []string
	for i := range wireNames {
		if !wireNames[i].check {
			names = append(names, wireNames[i].name)
		}
	}
	return names
}
