package report

import "strconv"

// chart is a picture of days: one bar each, of parts that stand on each other. Measures are those of its viewBox.
type chart struct {
	Title         string
	Width, Height int
	Bars          []bar
	Marks         []mark // of the scale, and of the first and the last day
	Key           []key
}

// bar is a part of a day's bar.
type bar struct {
	X, Y, W, H float64
	Class      string // of the style sheet
	About      string // shown by a pointer that rests on it
}

type mark struct {
	X, Y  float64
	End   string // of the text that stands there: start or end
	Text  string
	Line  bool // across the chart
	Right float64
}

type key struct{ Class, Text string }

// part is a number of each day, the lowest part first.
type part struct {
	class, text string
	of          func(*Day) int
}

// Measures of a chart.
const (
	chartWidth  = 720
	chartHeight = 200
	chartTop    = 14
	chartBottom = 24 // for the days
	chartLeft   = 88 // for the scale
	chartBar    = 72 // of a bar, at most
)

// chartOf draws days.
func chartOf(title string, days []*Day, parts ...part) chart {
	c := chart{Title: title, Width: chartWidth, Height: chartHeight}
	for _, p := range parts {
		c.Key = append(c.Key, key{p.class, p.text})
	}
	most := 1
	for _, d := range days {
		sum := 0
		for _, p := range parts {
			sum += p.of(d)
		}
		most = max(most, sum)
	}
	most = ceiling(most)
	floor := float64(chartHeight - chartBottom)
	scale := (floor - chartTop) / float64(most)
	step := float64(chartWidth-chartLeft) / float64(max(len(days), 1))
	wide := min(step*0.8, chartBar)
	for i, d := range days {
		y := floor
		for _, p := range parts {
			n := p.of(d)
			if n == 0 {
				continue
			}
			h := max(float64(n)*scale, 1)
			y -= h
			c.Bars = append(c.Bars, bar{X: chartLeft + (float64(i)+0.5)*step - wide/2, Y: y, W: wide, H: h, Class: p.class,
				About: d.Day + ": " + strconv.Itoa(n) + " " + p.text})
		}
	}
	for _, n := range []int{0, most / 2, most} {
		if n == 0 || n != most/2 || most%2 == 0 {
			c.Marks = append(c.Marks, mark{X: chartLeft - 6, Y: floor - float64(n)*scale, End: "end", Text: thousands(n), Line: true, Right: chartWidth})
		}
	}
	if n := len(days); n > 0 {
		c.Marks = append(c.Marks, mark{X: chartLeft, Y: chartHeight - 6, End: "start", Text: days[0].Day})
		if n > 1 {
			c.Marks = append(c.Marks, mark{X: chartWidth, Y: chartHeight - 6, End: "end", Text: days[n-1].Day})
		}
	}
	return c
}

// ceiling returns the next number of a good scale: one digit and noughts, and best one that can be halved.
func ceiling(n int) int {
	for ten := 1; ; ten *= 10 {
		for _, digit := range [...]int{1, 2, 3, 4, 5, 6, 8} {
			if digit*ten >= n {
				return digit * ten
			}
		}
	}
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
