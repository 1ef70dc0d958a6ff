package reqstate

import "context"

// SetExpired notes that the request's context, or one made of it, is canceled
// because the caller's credential has ended: what fails from then on, fails for it.
func (s *State) SetExpired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.expired = true
	}
}

// HasExpired reports whether ctx's request was canceled because its caller's credential
// has ended: its State was told so or, where there was none that far out, the cause
// of ctx has the method CredentialExpired, as package auth's ErrExpired has.
func HasExpired(ctx context.Context) bool {
	if s := FromContext(ctx); s != nil && s.isExpired() {
		return true
	}
	return expiredBy(ctx)
}

func (s *State) isExpired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expired
}

func expiredBy(ctx context.Context) bool {
	if ctx.Err() != context.Canceled {
		return false
	}
	_, expired := context.Cause(ctx).(interface{ CredentialExpired() })
	return expired
}
