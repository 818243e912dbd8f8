package rbl_test

import (
	"context"
	"fmt"
	"log"
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

	zones, err := rbl.ParseZones(rbl.OfAddresses, "bl.example=127.0.0.[2..11]*5")
	if err != nil {
		log.Fatal(err) // it says what to write instead
	}
	r, err := rbl.NewResolver(rbl.ResolverOptions{Servers: []netip.AddrPort{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
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
