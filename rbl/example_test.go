package rbl_test

import (
	"context"
	"fmt"
	"net/netip"

	"eximpolicyd/internal/dnstest"
	"eximpolicyd/rbl"
)

// A list is asked about two clients. The server here stands in for the recursive one of the machine, so that the example
// runs without a network; leave Servers out to ask that.
func Example() {
	server, _ := dnstest.Start()
	defer server.Close()
	server.List("bl.example", false, "192.0.2.1=127.0.0.4")

	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{server.Addr()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	var entry rbl.Entry
	if err := entry.UnmarshalText([]byte("bl.example=127.0.0.[2..11]*5")); err != nil {
		fmt.Println(err)
		return
	}
	zones, err := rbl.Zones(rbl.OfAddresses, []rbl.Entry{entry})
	if err != nil {
		fmt.Println(err)
		return
	}
	lists := rbl.NewLists(r, zones, rbl.ListsOptions{})
	lists.Test(context.Background()) // a program that stays runs lists.Run, which tests again and again
	for _, client := range []string{"192.0.2.1", "192.0.2.2"} {
		report := lists.Check(context.Background(), netip.MustParseAddr(client))
		fmt.Println(client, report.Answers[0].Status, report.Answers[0].Codes, report.Score())
	}
	// Output:
	// 192.0.2.1 listed [127.0.0.4] 5.0
	// 192.0.2.2 clear [] 0.0
}
