package reqstate

import "testing"

func TestRejection(t *testing.T) {
	for name, tt := range map[string]struct {
		rec       Record
		reason    string
		protected bool
	}{
		"answered":                     {Record{Status: 200, Reason: "shed"}, "", false},
		"shed":                         {Record{Status: 503, Reason: "shed"}, "shed", true},
		"a Deny of the user's":         {Record{Status: 503, Refused: true}, "refused", true},
		"of another status":            {Record{Status: 429, Refused: true}, "refused", false},
		"over a limit":                 {Record{Status: 429, Reason: "rate-limited"}, "rate-limited", false},
		"what is behind it is down":    {Record{Status: 503, Reason: "auth-unavailable"}, "auth-unavailable", false},
		"for a reason nobody knows":    {Record{Status: 503, Reason: "unavailable"}, "unavailable", false},
		"failed":                       {Record{Status: 503}, "", false},
		"a panic of its Deny":          {Record{Status: 500, Outcome: Panicked, Reason: "shed", Refused: true}, "", false},
		"a timeout in its place":       {Record{Status: 503, Outcome: TimedOut, Reason: "shed", Refused: true}, "", false},
		"an error event in its place":  {Record{Status: 500, Outcome: ErrorEvent, Reason: "shed"}, "", false},
		"a call, after some messages":  {Record{Status: 503, Outcome: ErrorEvent, Reason: "shed", RPC: "/s/m"}, "shed", true},
		"left before it was told":      {Record{Status: 499, Outcome: ClientGone, Reason: "shed"}, "", false},
		"expired, with what it waited": {Record{Status: 401, Outcome: Expired, Reason: "expired"}, "expired", false},
	} {
		if reason := tt.rec.Rejection(); reason != tt.reason || tt.rec.Protected() != tt.protected {
			t.Errorf("%s: reason %q, protected %t", name, reason, tt.rec.Protected())
		}
	}
}
