package logging

import "strings"

// A class says what is special about the name of an attribute at a record's top.
type class uint8

const (
	ofRequest class = 1 << iota // the name of an id: taken if the record has that id
	ofTrace
	ofSpan
	ofError     // goes by the schema's name, if its value is an error or a text
	ofException // the same
	ofObject    // taken by an object, beside which a group may stand
	builtIn     // taken
)

func (id *ids) has(c class) bool {
	return c == ofRequest && id.request != "" || c == ofTrace && id.trace != [16]byte{} || c == ofSpan && id.span != [8]byte{}
}

// without leaves out the ids that a logger's own attributes give.
func (id ids) without(given class) ids {
	if given&ofRequest != 0 {
		id.request = ""
	}
	if given&ofTrace != 0 {
		id.trace = [16]byte{}
	}
	if given&ofSpan != 0 {
		id.span = [8]byte{}
	}
	return id
}

// A nameSet tells most names that are not in it by one look at their first
// letter and length. It never changes once made.
type nameSet struct {
	mask    [32]uint64
	classes map[string]class
}

func (s *nameSet) class(name string) class {
	if n := len(name); n >= 64 || s.mask[name[0]&31]>>n&1 == 0 {
		return 0
	}
	return s.classes[name]
}

func (s *nameSet) add(c class, names ...string) {
	for _, name := range names {
		if name != "" && s.classes[name] == 0 {
			s.classes[name] = c
			s.mask[name[0]&31] |= 1 << len(name)
		}
	}
}

// names are those that attributes beside k's fields may not have: beside the
// fields of any record or, for access, beside those of an access record too.
func (k *keys) names(s Schema, access bool) *nameSet {
	set := &nameSet{classes: make(map[string]class)}
	set.add(ofRequest, k.requestID.name)
	set.add(ofError, "error", "err")
	set.add(ofException, "exception")
	own := []key{k.exception, k.errorMessage, k.dropped}
	if k.attributes.name == "" {
		set.add(ofTrace, k.traceID.name)
		set.add(ofSpan, k.spanID.name)
		own = append(own, k.time, k.level, k.logger, k.message, k.sampled, k.source)
	}
	if k.source.name == "" {
		own = append(own, k.module, k.function, k.file, k.line)
	}
	if access {
		own = append(own, k.route, k.outcome, k.sentStatus, k.subject, k.reason, k.ttfb, k.chunks, k.longestGap,
			k.rpc, k.code, k.messagesIn, k.query, k.headers, k.http)
		if k.http.name == "" {
			own = append(own, k.method, k.status, k.bytesIn, k.bytesOut, k.duration, k.callDuration, k.remote, k.remotePort, k.userAgent)
		}
	}
	if s == GCP {
		set.add(builtIn, "level") // where severity says less
	}
	for _, key := range own {
		set.add(builtIn, key.name)
	}
	if s == ECS { // "http.x" is an object there, beside which no text "http" may stand
		for _, c := range columns {
			parent, _, _ := strings.Cut((*c.field(k)).name, ".")
			set.add(ofObject, parent)
		}
		set.add(ofObject, "ecs")
		set.add(builtIn, "ecs.version")
	}
	return set
}
