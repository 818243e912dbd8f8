package control

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBothHalvesOfATimeAreWaitedForUnlessItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, stop := inHalves(t.Context(), saving)
		defer stop()
		<-ctx.Done()
		if took := time.Since(begin); took != saving {
			t.Errorf("ended after %v", took)
		}
		begin = time.Now()
		ctx, stop = inHalves(t.Context(), saving)
		time.AfterFunc(saving/3, stop)
		<-ctx.Done()
		if took := time.Since(begin); took != saving/3 {
			t.Errorf("stopped after %v", took)
		}
	})
}
