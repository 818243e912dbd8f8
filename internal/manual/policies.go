package manual

import (
	"go/doc/comment"
	"strings"

	"eximpolicyd/policy"
)

// policies is the page of the rules: a text with a heading for each policy and each rule, to each of which is added what
// the table says of it.
func (w *writer) policies(table []policy.Policy) {
	common, texts := sections(text("policies.txt"))
	w.add("eximpolicyd-policies", 7, "what the policy daemon for Exim objects to", func(m *mdoc) {
		m.blocks(common, m.section)
		for i := range table {
			p := &table[i]
			m.section(p.Name + ": " + p.About)
			m.blocks(texts[p.Name], m.sub)
			list := []term{{"Asked at", strings.Join(stages(p), ", ")}}
			if skip := classes(p.Skip); skip != "" {
				list = append(list, term{"Passes by", skip})
			}
			if p.Cap > 0 {
				list = append(list, term{"Scores", "at most " + p.Cap.String() + " in all"})
			}
			m.terms(list)
			for _, r := range p.New().Rules() {
				m.sub(p.Name + "." + r.ID + ": " + r.Title)
				m.blocks(texts[p.Name+"."+r.ID], m.sub)
				answers(m, &r)
			}
		}
		seeAlso(m, "eximpolicyd.toml(5)", "eximpolicyd(8)", "eximpolicyd-check(8)", "eximpolicyd-explain(8)", "eximpolicyd-replay(8)")
	})
}

// sections cuts a text at the headings that are the name of a policy or a rule; what stands before them is common.
func sections(text string) (common []comment.Block, named map[string][]comment.Block) {
	named = map[string][]comment.Block{}
	name := ""
	for _, b := range parse(text) {
		if h, is := b.(*comment.Heading); is {
			if title := plain(h.Text); title == strings.ToUpper(title) {
				name = ""
			} else {
				name = title
				named[name] = nil
				continue
			}
		}
		if name == "" {
			common = append(common, b)
		} else {
			named[name] = append(named[name], b)
		}
	}
	return common, named
}

func stages(p *policy.Policy) []string {
	var list []string
	for s := policy.NoStage; s <= policy.NotSMTP; s++ {
		if p.Stages.Has(s) {
			list = append(list, s.String())
		}
	}
	return list
}

// classes names the classes of a set, each once.
func classes(set policy.Classes) string {
	var list []string
	for c := policy.Local; c <= policy.NullSender; c++ {
		if set.Has(c) && (len(list) == 0 || list[len(list)-1] != c.String()) {
			list = append(list, c.String())
		}
	}
	return strings.Join(list, ", ")
}

// answers says what a hit of a rule is worth, what it needs, and whom it passes by.
func answers(m *mdoc, r *policy.Rule) {
	var list []term
	if a := r.Answers; a != (policy.Answers{}) {
		lenient, rfc, strict := a[policy.Lenient].String(), a[policy.RFC].String(), a[policy.Strict].String()
		answer := "lenient " + lenient + "; rfc " + rfc + "; strict " + strict
		if lenient == rfc && rfc == strict {
			answer = lenient
		}
		list = append(list, term{"Answer", answer})
	}
	if r.Needs&policy.NeedDNS != 0 {
		list = append(list, term{"Needs", "the DNS; what is not answered in time is not known, and passes"})
	}
	if skip := classes(r.Skip); skip != "" {
		list = append(list, term{"Passes by", skip + ", too"})
	}
	m.terms(list)
}
