package health

// StopChecking ends the background work without Close's knowledge, as if its
// goroutines were never scheduled again.
func (h *Health) StopChecking() { h.cancel() }
