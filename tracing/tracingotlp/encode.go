package tracingotlp

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// encode writes the request for these spans.
func encode(ctx context.Context, spans []sdktrace.ReadOnlySpan) ([]byte, error) {
	var c capture
	e, err := otlptrace.New(ctx, &c)
	if err != nil {
		return nil, err
	}
	if err := e.ExportSpans(ctx, spans); err != nil {
		return nil, err
	}
	// The bytes of an ExportTraceServiceRequest: both are one repeated field 1.
	// Its own package brings a gateway along.
	request := &tracepb.TracesData{ResourceSpans: c.spans}
	b, err := proto.Marshal(request)
	if err != nil {
		// A string that is not UTF-8, which a client may have sent, must not
		// take the other spans along.
		mend(request.ProtoReflect())
		b, err = proto.Marshal(request)
	}
	return b, err
}

// capture gets hold of the spans as OpenTelemetry's exporter would send them.
type capture struct{ spans []*tracepb.ResourceSpans }

func (*capture) Start(context.Context) error { return nil }
func (*capture) Stop(context.Context) error  { return nil }

func (c *capture) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.spans = spans
	return nil
}

// mend replaces what is not UTF-8 in all strings of m.
func mend(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch kind := field.Kind(); {
		case field.IsMap():
		case field.IsList() && kind == protoreflect.StringKind:
			for i, list := 0, v.List(); i < list.Len(); i++ {
				list.Set(i, mended(list.Get(i)))
			}
		case field.IsList() && kind == protoreflect.MessageKind:
			for i, list := 0, v.List(); i < list.Len(); i++ {
				mend(list.Get(i).Message())
			}
		case field.IsList():
		case kind == protoreflect.StringKind:
			m.Set(field, mended(v))
		case kind == protoreflect.MessageKind:
			mend(v.Message())
		}
		return true
	})
}

func mended(v protoreflect.Value) protoreflect.Value {
	return protoreflect.ValueOfString(strings.ToValidUTF8(v.String(), "\ufffd"))
}

// partial reads the fields of an ExportTraceServiceResponse: how many spans the
// collector would not have, and why. Fields that it does not know it skips.
func partial(response []byte) (rejected int64, message string, err error) {
	var inner []byte
	err = fields(response, func(n protowire.Number, kind protowire.Type, value []byte) {
		if n == 1 && kind == protowire.BytesType {
			inner = append(inner, value...) // parts of one message are one
		}
	})
	if err != nil {
		return 0, "", err
	}
	err = fields(inner, func(n protowire.Number, kind protowire.Type, value []byte) {
		switch {
		case n == 1 && kind == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			rejected = int64(v)
		case n == 2 && kind == protowire.BytesType:
			message = string(value)
		}
	})
	return rejected, message, err
}

// fields calls f with each field of a message: the content of those that have a
// length, the encoding of others.
func fields(b []byte, f func(protowire.Number, protowire.Type, []byte)) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("the answer is no message: %w", protowire.ParseError(n))
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(number, kind, b)
		if n < 0 {
			return fmt.Errorf("the answer is no message: %w", protowire.ParseError(n))
		}
		value := b[:n]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		f(number, kind, value)
		b = b[n:]
	}
	return nil
}
