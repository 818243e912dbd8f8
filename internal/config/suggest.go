package config

import "strings"

// Nearest returns the name that was probably meant: the same but for case, the beginning of it, or a few slips away. It
// returns nothing rather than a wild guess.
func Nearest(word string, names []string) string {
	const longest = 40
	if len(word) > longest {
		return ""
	}
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, slips := "", longest
	for _, name := range names {
		low := strings.ToLower(name)
		n := distance(word, low)
		if len(word) >= 4 && len(low) >= 4 && (strings.HasPrefix(low, word) || strings.HasPrefix(word, low)) {
			n = min(n, 1)
		}
		if n < slips && n <= (max(len(word), len(low))+1)/3 {
			best, slips = name, n
		}
	}
	if len(word) <= 2 && slips > 0 {
		return "" // H4 is no slip of H1
	}
	return best
}

// distance counts the slips between two words: a letter more, less or other, or two letters swapped.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
