"""A client on the C core of gRPC: prints what it got, one line a step. Messages are written out by hand."""
import sys
import grpc

channel = grpc.insecure_channel(sys.argv[1])
raw = lambda data: data
unary = lambda path: channel.unary_unary(path, request_serializer=raw, response_deserializer=raw)

put = unary("/etcdserverpb.KV/Put")
range_ = unary("/etcdserverpb.KV/Range")

for i in range(200):
    key = b"py/%03d" % i
    put(b"\x0a" + bytes([len(key)]) + key + b"\x12\x01v", timeout=10)
answer = range_(b"\x0a\x03py/\x12\x03py0", timeout=10)
print("found", answer.count(b"py/"))

# Many at once on one connection.
futures = [put.future(b"\x0a\x04many\x12\x02%02d" % (i % 100), timeout=10) for i in range(500)]
print("many", sum(1 for future in futures if len(future.result()) > 0))

try:
    put(b"", timeout=10)
except grpc.RpcError as error:
    print("empty key", error.code().name, error.details())
try:
    unary("/etcdserverpb.KV/Nothing")(b"", timeout=10)
except grpc.RpcError as error:
    print("unknown method", error.code().name)
try:
    range_(b"\x0a\xff", timeout=10)
except grpc.RpcError as error:
    print("malformed", error.code().name)

# A large message both ways, compressed on the way there.
value = b"x" * 1000000
length = len(value)
varint = bytes([length & 127 | 128, length >> 7 & 127 | 128, length >> 14])
put(b"\x0a\x05large\x12" + varint + value, timeout=10, compression=grpc.Compression.Gzip)
print("large", len(range_(b"\x0a\x05large", timeout=10)) > length)

# A watch: created, then the past event, then cancelled by us.
requests = iter([b"\x0a\x09\x0a\x05large\x18\x01"])
stream = channel.stream_stream("/etcdserverpb.Watch/Watch", request_serializer=raw, response_deserializer=raw)
call = stream(requests, timeout=20)
print("created", b"\x18\x01" in next(call))
print("event", len(next(call)) > length)
call.cancel()
print("done")
