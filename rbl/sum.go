package rbl

// Sum adds up what the listings of several reports are worth, of a client's address and of the names it goes by. Lists
// of one operator are one opinion, whatever they list: of an operator only the highest listing counts, and only the
// lowest of those that speak for the sender. What is Unknown counts nothing.
func Sum(reports ...Report) Score {
	type opinion struct {
		operator          string
		against, inFavour Score
	}
	var opinions []opinion // a handful, so a search is cheaper than a map
	for i := range reports {
		for j := range reports[i].Answers {
			a := &reports[i].Answers[j]
			score := a.Score()
			if score == 0 {
				continue
			}
			operator := a.Zone.Operator
			if operator == "" {
				operator = a.Zone.Name
			}
			at := 0
			for at < len(opinions) && opinions[at].operator != operator {
				at++
			}
			if at == len(opinions) {
				opinions = append(opinions, opinion{operator: operator})
			}
			o := &opinions[at]
			o.against, o.inFavour = max(o.against, score), min(o.inFavour, score)
		}
	}
	var sum Score
	for _, o := range opinions {
		sum += o.against + o.inFavour
	}
	return sum
}

// Score is what a listing is worth by its zone's weights; no other answer is worth anything.
func (a *Answer) Score() Score {
	if a.Status != Listed {
		return 0
	}
	return a.Zone.score(a.Codes)
}
