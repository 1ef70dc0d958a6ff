package concurrency

// setPressure makes p effective.
func (l *Limiter) setPressure(p float64) {
	l.limitMu.Lock()
	defer l.limitMu.Unlock()
	if p != l.pressure {
		l.pressure = p
		l.setRooms()
	}
}

// askPressure is what Config.Pressure says, as a number from 0 to 1.
func (l *Limiter) askPressure() (p float64) {
	panicked := true
	defer func() {
		if panicked { // or left through runtime.Goexit, which goes on
			l.pressurePanics.Add(1)
			_ = recover()
			p = 0
		}
	}()
	p = l.cfg.Pressure()
	panicked = false
	if !(p > 0) { // nor NaN
		return 0
	}
	return min(p, 1)
}
