package metrics

import (
	"runtime"
	"strconv"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/rbl"
)

// ofDaemon is what it is, and whether it is well.
func ofDaemon(version string, started time.Time) []family {
	return []family{
		gauge("build_info", "Always 1, with the version.", func(_ *Reading, put put) { put(1, version, runtime.Version()) },
			"version", "goversion"),
		gauge("start_time_seconds", "When the daemon started.", func(_ *Reading, put put) { put(seconds(started)) }),
		gauge("config_last_reload_successful", "Whether the last reload of the configuration took; if not, the one before is in force.",
			func(r *Reading, put put) { put(number(r.Reloaded)) }),
		gauge("config_last_reload_success_timestamp_seconds", "When the configuration in force was read.",
			func(r *Reading, put put) { put(seconds(r.Read)) }),
		gauge("faults", "What is wrong now, as status tells it.", func(r *Reading, put put) { put(float64(r.Faults)) }),
		gauge("bypass_active", "Whether the bypass file stands there, so that every answer is no opinion.",
			func(r *Reading, put put) { put(number(r.Door.Bypass != "")) }),
		counter("log_lines_dropped_total", "Lines of the log that were lost because it was read too slowly.",
			func(r *Reading, put put) { put(float64(r.Dropped)) }),
	}
}

// ofCallouts is what Exim asked, and what it was answered.
func ofCallouts() []family {
	return []family{
		counter("callouts_total", "Decisions by stage and action; dunno is no opinion.", everyAction, "stage", "action"),
		counter("callouts_would_refuse_total", "Decisions without an opinion, of which an objection was only observed.",
			eachStage(func(s *acl.StageStats) uint64 { return s.Would }), "stage"),
		counter("callouts_degraded_total", "Decisions that lacked a fact which came too late.",
			eachStage(func(s *acl.StageStats) uint64 { return s.Degraded }), "stage"),
		counter("callouts_synthetic_total", "Decisions about a connection that is not proven to exist, of which nothing is remembered.",
			eachStage(func(s *acl.StageStats) uint64 { return s.Synthetic }), "stage"),
		counter("callouts_overrun_total", "Decisions that took all the time of their stage.",
			eachStage(func(s *acl.StageStats) uint64 { return s.Overrun }), "stage"),
		counter("unjudged_requests_total", "Requests that were answered with no opinion and not judged, by why.",
			func(r *Reading, put put) {
				put(float64(r.Door.Malformed), "malformed")
				put(float64(r.Door.Busy), "busy")
				put(float64(r.Door.Refused), "not_allowed")
				put(float64(r.Door.Failed), "failed")
				put(float64(r.Door.Bypassed), "bypass")
			}, "reason"),
		gauge("seats", "Connections that can be judged or waited for at once.", func(r *Reading, put put) { put(float64(r.Seats)) }),
		gauge("seats_in_use", "Connections that are judged or waited for.", func(r *Reading, put put) { put(float64(r.Taken)) }),
	}
}

// stages returns those that were asked, by name.
func stages(r *Reading) map[string]*acl.StageStats {
	asked := make(map[string]*acl.StageStats, len(r.Door.Stages))
	for i := range r.Door.Stages {
		asked[r.Door.Stages[i].Stage] = &r.Door.Stages[i]
	}
	return asked
}

// eachStage reads a counter of every stage: one that begins to exist with its first event is not seen to rise then.
func eachStage(of func(*acl.StageStats) uint64) func(*Reading, put) {
	return func(r *Reading, put put) {
		asked := stages(r)
		for _, stage := range acl.Stages() {
			n := uint64(0)
			if s := asked[stage.String()]; s != nil {
				n = of(s)
			}
			put(float64(n), stage.String())
		}
	}
}

func everyAction(r *Reading, to put) {
	for _, a := range []struct {
		action string
		of     func(*acl.StageStats) uint64
	}{
		{"dunno", func(s *acl.StageStats) uint64 { return s.Dunno }}, {"delay", func(s *acl.StageStats) uint64 { return s.Delay }},
		{"defer", func(s *acl.StageStats) uint64 { return s.Defer }}, {"deny", func(s *acl.StageStats) uint64 { return s.Deny }},
		{"drop", func(s *acl.StageStats) uint64 { return s.Drop }}, {"freeze", func(s *acl.StageStats) uint64 { return s.Freeze }},
	} {
		eachStage(a.of)(r, func(n float64, stage ...string) { to(n, stage[0], a.action) })
	}
}

// ofRules is what each rule found. The three are counters of their own, and no label of one: they are not read at one instant,
// and what is left of the first without the others would fall back at times, which looks like a restart.
func ofRules() []family {
	return []family{
		gauge("rules", "Rules by their mode.", func(r *Reading, put put) {
			put(float64(len(r.Enforced)), "enforce")
			put(float64(len(r.Observed)), "observe")
			put(float64(len(r.Off)), "off")
		}, "mode"),
		counter("rule_hits_total", "Decisions in which a rule found something.", eachRule(func(s *acl.RuleStats) uint64 { return s.Hits }), "rule"),
		counter("rule_refusals_total", "Decisions that a rule refused.", eachRule(func(s *acl.RuleStats) uint64 { return s.Refused }), "rule"),
		counter("rule_would_refuse_total", "Decisions that a rule would have refused, or kept waiting, if it were enforced.",
			eachRule(func(s *acl.RuleStats) uint64 { return s.Would }), "rule"),
	}
}

// eachRule reads a counter of every rule that is on, likewise, and of those that have found something before.
func eachRule(of func(*acl.RuleStats) uint64) func(*Reading, put) {
	return func(r *Reading, put put) {
		told := make(map[string]bool)
		for i := range r.Door.Rules {
			told[r.Door.Rules[i].Rule] = true
			put(float64(of(&r.Door.Rules[i])), r.Door.Rules[i].Rule)
		}
		for _, names := range [][]string{r.Enforced, r.Observed} {
			for _, name := range names {
				if !told[name] {
					put(0, name)
				}
			}
		}
	}
}

// ofLists is how the block lists and the DNS do.
func ofLists() []family {
	return []family{
		gauge("list_state", "1 for the state that a list is in, 0 for the others; only ok counts.", func(r *Reading, put put) {
			eachList(r, func(h *rbl.ZoneHealth, list string) {
				for s := rbl.Untested; s <= rbl.Timeout; s++ {
					put(number(s == h.State), list, h.Kind, s.String())
				}
			})
		}, "list", "kind", "state"),
		gauge("list_tested_timestamp_seconds", "When a list was tested last; absent before.", func(r *Reading, put put) {
			eachList(r, func(h *rbl.ZoneHealth, list string) {
				if !h.Tested.IsZero() {
					put(seconds(h.Tested), list, h.Kind)
				}
			})
		}, "list", "kind"),
		counter("list_questions_total", "Questions to a list about clients and names.",
			ofList(func(h *rbl.ZoneHealth) uint64 { return h.Asked }), "list", "kind"),
		counter("list_listings_total", "Questions that a list answered with a listing.",
			ofList(func(h *rbl.ZoneHealth) uint64 { return h.Listed }), "list", "kind"),
		counter("list_timeouts_total", "Questions that a list did not answer in time.",
			ofList(func(h *rbl.ZoneHealth) uint64 { return h.Timeouts }), "list", "kind"),
		counter("list_failures_total", "Questions that a list, or its servers, refused or could not answer.",
			ofList(func(h *rbl.ZoneHealth) uint64 { return h.Failures }), "list", "kind"),
		gauge("dns_up", "Whether the DNS servers answer anybody; absent if the DNS is off.", func(r *Reading, put put) {
			if r.DNSAsked {
				put(number(r.DNSUp))
			}
		}),
	}
}

func ofList(of func(*rbl.ZoneHealth) uint64) func(*Reading, put) {
	return func(r *Reading, put put) {
		eachList(r, func(h *rbl.ZoneHealth, list string) { put(float64(of(h)), list, h.Kind) })
	}
}

// eachList goes through the lists by names that differ: with their keys masked, those of two customers' keys do not.
func eachList(r *Reading, one func(h *rbl.ZoneHealth, list string)) {
	type name struct{ list, kind string }
	seen := make(map[name]int)
	for i := range r.Lists {
		h := &r.Lists[i]
		list := h.Zone
		n := name{h.Zone, h.Kind}
		if seen[n]++; seen[n] > 1 {
			list += " " + strconv.Itoa(seen[n])
		}
		one(h, list)
	}
}

// ofMemory is what is remembered of clients, and whether it is saved. Without a memory there is none of it.
func ofMemory() []family {
	return []family{
		gauge("bans", "Bans in force by level and by the mode they were made in; one of observe refuses nothing.", memory(bans), "level", "mode"),
		gauge("bans_over", "Bans that are over, kept for their level.", size(func(m *ledger.State) int { return m.Remembered })),
		gauge("allowed_networks", "Networks that an administrator lets in.", size(func(m *ledger.State) int { return m.Allowed })),
		gauge("ledger_keys", "Clients, networks and accounts that are counted.", size(func(m *ledger.State) int { return m.Keys })),
		gauge("ledger_keys_limit", "How many of them there may be.", size(func(m *ledger.State) int { return m.MostKeys })),
		gauge("ledger_bytes", "What their counters take in memory.", size(func(m *ledger.State) int { return int(m.Bytes) })),
		gauge("ledger_unsaved", "Bans and allowed networks that wait for the disk, and that a crash would lose.",
			size(func(m *ledger.State) int { return m.Unsaved })),
		gauge("ledger_fault", "Whether something keeps the memory from being saved.", memory(func(m *ledger.State, put put) { put(number(m.Fault != "")) })),
		gauge("ledger_saved_timestamp_seconds", "When the counters were saved last; absent: never.", memory(func(m *ledger.State, put put) {
			if !m.Snapshot.IsZero() {
				put(seconds(m.Snapshot))
			}
		})),
		gauge("ledger_damaged_files", "Files of the memory that were damaged, and moved aside at the start.",
			size(func(m *ledger.State) int { return len(m.Aside) })),
		counter("ledger_clock_steps_total", "How often the wall clock was set.",
			memory(func(m *ledger.State, put put) { put(float64(m.ClockSteps)) })),
	}
}

func memory(read func(*ledger.State, put)) func(*Reading, put) {
	return func(r *Reading, put put) {
		if r.Memory != nil {
			read(r.Memory, put)
		}
	}
}

func size(of func(*ledger.State) int) func(*Reading, put) {
	return memory(func(m *ledger.State, put put) { put(float64(of(m))) })
}

// bans are those of rules from level 1, and those of an administrator, which have no level and always refuse.
func bans(m *ledger.State, put put) {
	put(float64(m.EnforcedAt[0]), "admin", "enforce")
	for level := 1; level <= ledger.MaxLevel; level++ {
		put(float64(m.EnforcedAt[level]), strconv.Itoa(level), "enforce")
		put(float64(m.ObservedAt[level]), strconv.Itoa(level), "observe")
	}
}

// number is 1 for yes.
func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// seconds is a time as Prometheus has it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
