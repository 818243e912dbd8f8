// Package metrics shows what the daemon counts in the text that Prometheus reads
// (https://prometheus.io/docs/instrumenting/exposition_formats/), by HTTP on a Unix socket or on loopback.
//
// Nothing is counted here that is counted elsewhere: a scrape reads the same figures as `eximpolicyd status`, once a second at
// most, and so the two agree. Only times are taken here, of callouts and of questions to the DNS, as histograms.
//
// A label has words of ours, rules, or lists as the configuration names them, never a word that a client chose: whoever could
// choose one could fill the server that stores them. A list that needs a customer's key is shown without it. Counters begin at
// zero when the daemon starts; those of a list and of a cache also when a reload changes the lists.
//
// These are all (a test holds it), besides go_ and process_ of the Go runtime and the process:
//
//	eximpolicyd_build_info{goversion,version}                 always 1
//	eximpolicyd_start_time_seconds                            when the daemon started
//	eximpolicyd_config_last_reload_successful                 0: the file was wrong, and what was before is in force
//	eximpolicyd_config_last_reload_success_timestamp_seconds  of the configuration in force
//	eximpolicyd_faults                                        what status tells as a fault
//	eximpolicyd_bypass_active                                 1: the bypass file stands there
//	eximpolicyd_rules{mode}                                   how many there are of each
//
//	eximpolicyd_callouts_total{action,stage}                  the decisions
//	eximpolicyd_callouts_would_refuse_total{stage}            those without an opinion, of which an objection was only observed
//	eximpolicyd_callouts_degraded_total{stage}                a fact that a rule needs came too late
//	eximpolicyd_callouts_synthetic_total{stage}               about a connection that is not proven to exist
//	eximpolicyd_callouts_overrun_total{stage}                 took all the time that there is
//	eximpolicyd_callout_duration_seconds{stage}               a histogram, from the request read to its answer written
//	eximpolicyd_unjudged_requests_total{reason}               malformed, busy (no seat), not_allowed, failed, bypass
//	eximpolicyd_seats                                         connections that can be judged or waited for at once
//	eximpolicyd_seats_in_use                                  those that are
//	eximpolicyd_log_lines_dropped_total                       the log was read too slowly
//
//	eximpolicyd_rule_hits_total{rule}                         found something
//	eximpolicyd_rule_refusals_total{rule}                     of those, refused by it
//	eximpolicyd_rule_would_refuse_total{rule}                 of those, only observed
//
//	eximpolicyd_list_state{kind,list,state}                   1 for the state that it is in; only ok counts
//	eximpolicyd_list_tested_timestamp_seconds{kind,list}      absent: never
//	eximpolicyd_list_questions_total{kind,list}               about clients and names
//	eximpolicyd_list_listings_total{kind,list}                of those, answered with a listing
//	eximpolicyd_list_timeouts_total{kind,list}                of those, not answered in time
//	eximpolicyd_list_failures_total{kind,list}                of those, refused or of no use
//	eximpolicyd_dns_up                                        0: the servers answer nobody; absent: dns.ask is off
//	eximpolicyd_dns_questions_total{outcome}                  found, empty, missing, failed, refused, timed_out, busy, down
//	eximpolicyd_dns_answer_duration_seconds                   a histogram, of those that a server answered, whatever it said
//
//	eximpolicyd_cache_entries{cache}                          clients and names, of which it is known what the lists said
//	eximpolicyd_cache_entries_limit{cache}                    how many there may be
//	eximpolicyd_cache_bytes{cache}                            answers of the DNS about names, decisions that can be explained
//	eximpolicyd_cache_bytes_limit{cache}                      what they may take
//	eximpolicyd_cache_hits_total{cache}                       clients, names, answers: look-ups of which all was known
//	eximpolicyd_cache_misses_total{cache}                     those that asked, or waited for what another had asked
//
//	eximpolicyd_bans{level,mode}                              in force; level admin is an administrator's
//	eximpolicyd_bans_over                                     kept for their level
//	eximpolicyd_allowed_networks                              let in by an administrator
//	eximpolicyd_ledger_keys                                   clients, networks and accounts that are counted
//	eximpolicyd_ledger_keys_limit                             how many there may be
//	eximpolicyd_ledger_bytes                                  what their counters take
//	eximpolicyd_ledger_unsaved                                bans and allowed networks that a crash would lose
//	eximpolicyd_ledger_fault                                  1: what is remembered is not kept on the disk
//	eximpolicyd_ledger_saved_timestamp_seconds                of the counters; absent: never
//	eximpolicyd_ledger_damaged_files                          moved aside at the start
//	eximpolicyd_ledger_clock_steps_total                      how often the wall clock was set
package metrics
