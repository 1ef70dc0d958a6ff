package healthgrpc

import (
	"fmt"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// listMessages are the types of List's messages: the generated ones if there are,
// else their like.
type listMessages struct {
	in, out  protoreflect.MessageType
	statuses protoreflect.FieldDescriptor
}

func newListMessages() (*listMessages, error) {
	pkg := healthpb.File_grpc_health_v1_health_proto.Package()
	l := new(listMessages)
	var err, also error
	l.in, err = protoregistry.GlobalTypes.FindMessageByName(pkg.Append("HealthListRequest"))
	l.out, also = protoregistry.GlobalTypes.FindMessageByName(pkg.Append("HealthListResponse"))
	if err != nil || also != nil {
		file, err := protodesc.NewFile(listFile(pkg), protoregistry.GlobalFiles)
		if err != nil {
			return nil, fmt.Errorf("healthgrpc: the messages of List: %w", err)
		}
		l.in = dynamicpb.NewMessageType(file.Messages().ByName("HealthListRequest"))
		l.out = dynamicpb.NewMessageType(file.Messages().ByName("HealthListResponse"))
	}
	l.statuses = l.out.Descriptor().Fields().ByName("statuses")
	return l, nil
}

// listFile is what health.proto says of List's messages:
//
//	message HealthListRequest {}
//	message HealthListResponse { map<string, HealthCheckResponse> statuses = 1; }
//
// It is registered nowhere, so that it can conflict with nothing.
func listFile(pkg protoreflect.FullName) *descriptorpb.FileDescriptorProto {
	response := "." + string(pkg) + ".HealthListResponse"
	field := func(name string, n int32, label descriptorpb.FieldDescriptorProto_Label, t descriptorpb.FieldDescriptorProto_Type, message string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &n, Label: &label, Type: &t}
		if message != "" {
			f.TypeName = &message
		}
		return f
	}
	const (
		optional = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		repeated = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		text     = descriptorpb.FieldDescriptorProto_TYPE_STRING
		message  = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	)
	return &descriptorpb.FileDescriptorProto{
		Name:       proto.String("grpc/health/v1/ballast_list.proto"),
		Syntax:     proto.String("proto3"),
		Package:    proto.String(string(pkg)),
		Dependency: []string{healthpb.File_grpc_health_v1_health_proto.Path()},
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("HealthListRequest")},
			{
				Name:  proto.String("HealthListResponse"),
				Field: []*descriptorpb.FieldDescriptorProto{field("statuses", 1, repeated, message, response+".StatusesEntry")},
				NestedType: []*descriptorpb.DescriptorProto{{
					Name: proto.String("StatusesEntry"),
					Field: []*descriptorpb.FieldDescriptorProto{
						field("key", 1, optional, text, ""),
						field("value", 2, optional, message, "."+string(pkg)+".HealthCheckResponse"),
					},
					Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
				}},
			},
		},
	}
}

func (l *listMessages) request() proto.Message { return l.in.New().Interface() }

// response has the status of all that is known.
func (l *listMessages) response(s *service) proto.Message {
	m := l.out.New()
	statuses := m.Mutable(l.statuses).Map()
	for name, ask := range s.known {
		one := &healthpb.HealthCheckResponse{Status: s.status(ask)}
		statuses.Set(protoreflect.ValueOfString(name).MapKey(), protoreflect.ValueOfMessage(one.ProtoReflect()))
	}
	return m.Interface()
}
