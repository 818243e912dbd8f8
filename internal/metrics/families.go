package metrics

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// family is one metric that is read at each scrape.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	read       func(*Reading, put)
}

// put takes one value, with a word for each label.
type put func(value float64, labels ...string)

func gauge(name, help string, read func(*Reading, put), labels ...string) family {
	return family{prefix + name, help, prometheus.GaugeValue, labels, read}
}

func counter(name, help string, read func(*Reading, put), labels ...string) family {
	return family{prefix + name, help, prometheus.CounterValue, labels, read}
}

// rest is for how long a Reading is good. Nobody scrapes more often who means it, and whoever does must not hold up what bans:
// to count 65,536 bans takes a millisecond.
const rest = time.Second

// families collect what is read of one Reading. It is safe for concurrent use.
type families struct {
	list  []family
	descs []*prometheus.Desc
	read  func() Reading

	mu   sync.Mutex // held while one reads, for all who ask meanwhile
	last Reading
	at   time.Time
}

// now returns a Reading that is no older than rest. Others may have it too.
func (f *families) now() Reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at.IsZero() || time.Since(f.at) >= rest {
		f.last = f.read()
		f.at = time.Now()
	}
	return f.last
}

func newFamilies(read func() Reading, list ...[]family) *families {
	f := &families{read: read}
	for _, some := range list {
		for _, one := range some {
			f.list = append(f.list, one)
			f.descs = append(f.descs, prometheus.NewDesc(one.name, one.help, one.labels, nil))
		}
	}
	return f
}

// Describe sends what can be collected.
func (f *families) Describe(to chan<- *prometheus.Desc) {
	for _, d := range f.descs {
		to <- d
	}
}

// Collect reads, and sends all. It runs on a goroutine of the registry's, where a mistake of ours would end the daemon:
// here it costs the scrape.
func (f *families) Collect(to chan<- prometheus.Metric) {
	defer func() {
		if cause := recover(); cause != nil {
			to <- prometheus.NewInvalidMetric(f.descs[0], fmt.Errorf("%w: %v", errMistake, cause))
		}
	}()
	r := f.now()
	for i, one := range f.list {
		one.read(&r, func(value float64, labels ...string) {
			metric, err := prometheus.NewConstMetric(f.descs[i], one.kind, value, labels...)
			if err != nil {
				metric = prometheus.NewInvalidMetric(f.descs[i], err)
			}
			to <- metric
		})
	}
}

var errMistake = errors.New("a mistake of ours, please report it")
