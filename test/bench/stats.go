package main

import (
	"math"
	"slices"
	"time"
)

// quantile returns the value that a part q of the values does not exceed (nearest rank). It sorts them.
func quantile[T int64 | float64 | time.Duration](values []T, q float64) T {
	slices.Sort(values)
	rank := int(math.Ceil(q * float64(len(values))))
	return values[min(max(rank, 1), len(values))-1]
}

func median[T int64 | float64 | time.Duration](values []T) T { return quantile(values, 0.5) }

// medianOf is the median of what f gives for each value.
func medianOf[V any](values []V, f func(V) float64) float64 {
	list := make([]float64, len(values))
	for i, v := range values {
		list[i] = f(v)
	}
	return median(list)
}

// alternate calls each function once in every round. Each round begins with another one, so that none always has the
// caches that the same other one left.
func alternate(rounds int, each ...func() error) error {
	for round := range rounds {
		for i := range each {
			if err := each[(round+i)%len(each)](); err != nil {
				return err
			}
		}
	}
	return nil
}

// ms writes a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
