package healthgrpc

import (
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The messages of List that are made by hand, for grpc-go before it had them, are on
// the wire what health.proto says.
func TestListFile(t *testing.T) {
	file, err := protodesc.NewFile(listFile(healthpb.File_grpc_health_v1_health_proto.Package()), protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	out := dynamicpb.NewMessage(file.Messages().ByName("HealthListResponse"))
	statuses := out.Mutable(out.Descriptor().Fields().ByName("statuses")).Map()
	serving := &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}
	statuses.Set(protoreflect.ValueOfString("a").MapKey(), protoreflect.ValueOfMessage(serving.ProtoReflect()))
	got, err := proto.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	// Field 1, an entry of 7 bytes: key 1 "a", value 2 a message with status 1 SERVING.
	if want := "\x0a\x07\x0a\x01a\x12\x02\x08\x01"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}
