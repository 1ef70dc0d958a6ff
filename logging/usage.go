package logging

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// A Usage is what one inference took, for who bills it or plans capacity. Texts
// have room for 256 bytes.
type Usage struct {
	// ID names the event: records with one ID are one event, however often they are
	// seen. "" means the request's id, a random number of the Logger and a count,
	// such as "4bf9…-00f0…-17", which no other event has: by it a pipeline that
	// delivers a line twice bills it once. It tells the attempts of a client that
	// tries again apart, for each has used the device; who wants to bill them as one
	// gives an ID that they share, such as the Idempotency-Key with its tenant.
	ID string

	Tenant  string // who pays
	Model   string
	Adapter string // a fine-tuning of Model; "" for none

	InputTokens, OutputTokens int64

	DeviceSeconds float64 // of a device, or of the shares of several, that the inference held
	Cost          float64 // in Currency; 0 without one: unknown
	Currency      string  // ISO 4217, such as "EUR"

	// Attrs are written beside the above, as those of Audit.
	Attrs []slog.Attr

	_ struct{}
}

type usageKeys struct {
	id, tenant, model, adapter, in, out, seconds, cost, currency key

	taken *nameSet // names that attributes may not have
}

func newUsageKeys(l *Logger) usageKeys {
	k := usageKeys{
		id: l.key("usage_id"), tenant: l.key("tenant"), model: l.key("model_id"), adapter: l.key("adapter"),
		in: l.key("input_tokens"), out: l.key("output_tokens"), seconds: l.key("device_seconds"),
		cost: l.key("cost"), currency: l.key("currency"),
		taken: l.keys.names(l.schema, false),
	}
	for _, own := range []key{l.keys.subject, k.id, k.tenant, k.model, k.adapter, k.in, k.out, k.seconds, k.cost, k.currency} {
		k.taken.add(builtIn, own.name)
	}
	return k
}

// Usage writes u down as an audit record (see Audit for what that guarantees) with
// message "usage" and the fields usage_id, tenant, model_id, adapter, input_tokens,
// output_tokens, device_seconds, cost and currency, and the subject that package
// auth knows the request's caller by. Texts that are empty are left out, and so is
// a cost that is unknown.
//
// Call it once for each inference, also for one whose client has gone: it has used
// the device.
func (l *Logger) Usage(ctx context.Context, u Usage) {
	id := l.ids(ctx)
	r := l.begin(auditName, slog.LevelInfo, time.Now(), "usage", id)
	k := &l.pipe.usage
	text := func(k key, v string) {
		if v != "" {
			r.str(k, limit(v, maxField))
		}
	}
	if u.ID == "" {
		u.ID = l.usageID(id.request)
	}
	text(k.id, u.ID)
	text(k.tenant, u.Tenant)
	text(k.model, u.Model)
	text(k.adapter, u.Adapter)
	r.int(k.in, u.InputTokens)
	r.int(k.out, u.OutputTokens)
	r.float(k.seconds, u.DeviceSeconds)
	if u.Cost != 0 || u.Currency != "" {
		r.float(k.cost, u.Cost)
		text(k.currency, u.Currency)
	}
	if s := reqstate.FromContext(ctx); s != nil {
		text(r.keys.subject, s.Record().Subject)
	}
	r.taken = k.taken
	for _, a := range u.Attrs {
		if !r.reserved(a.Key) {
			r.attr(a)
		}
	}
	l.endAudit(r)
}

func (l *Logger) usageID(request string) string {
	b := make([]byte, 0, maxRequestID+40)
	if request != "" {
		b = append(append(b, request...), '-')
	}
	b = append(append(b, l.pipe.instance...), '-')
	return string(strconv.AppendUint(b, l.pipe.usageNext.Add(1), 10))
}
