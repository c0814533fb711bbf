/**
 * HTTP/2 and gRPC, server and client, over any duplex byte stream.
 *
 * **Server.** Make a {@link GrpcServer}, register its methods, then `accept` connections:
 * `socketDuplex(socket)` for net and tls sockets, an end of `memoryDuplexPair` in tests and simulations.
 * `sniffProtocol` shares a port with HTTP/1.
 *
 *     const server = new GrpcServer({ clock, onRequest });
 *     server.unary('/etcdserverpb.KV/Put', (call, bytes, start, end) => { … });
 *     server.bidi('/etcdserverpb.Watch/Watch', (call) => { call.receiver = new WatchStream(call); });
 *     net.createServer((socket) => server.accept(socketDuplex(socket), socketInfo(socket)));
 *
 * Handlers run synchronously, in the turn in which the request has arrived, and get raw message bytes: a view
 * of the chunk that the socket delivered. Keeping a view is allowed and keeps the chunk alive; what lives
 * long is better copied. The answer is given at once or in any later turn. All answers of a turn leave in one
 * write per connection, when the turn's callbacks have run (`Clock.defer`), or when `flush` is called.
 *
 * Bytes given to the transport: `respond`, `write` and their kin copy; `reserve` and `reserveMessage` return
 * a position in `call.output` where the caller encodes in place, at once and in full; `respondChunks` takes ownership
 * of the chunks, which must not change afterwards; a {@link Body} is written piece by piece into memory that the
 * connections share and reuse.
 *
 * Back-pressure: a write returns false when its stream holds more than `streamHighWaterBytes`; `onWritable`
 * follows. In the other direction, `pause` stops a stream's messages, and with them, once its window is used
 * up, its sender. Whatever one connection can make us hold is bounded (`http2/limits.ts`): beyond a bound
 * calls fail with RESOURCE_EXHAUSTED, streams are refused, or the connection ends with GOAWAY.
 *
 * A call that is over (answered, cancelled, its connection lost) ignores everything, so late answers need no
 * care; `onCancel` is told only when it ended without an answer. Deadlines of clients cancel their calls.
 *
 * **Client.** A {@link GrpcChannel} makes calls over one connection, which may still be connecting.
 * Connecting again is up to its owner, who hears of the end through `onDraining` and `onClosed`.
 *
 * **Ordinary requests**, not gRPC and not for the path of a method, go to `onRequest` as {@link
 * HttpExchange}s.
 *
 * Time comes from the injected Clock alone, so the package runs in simulated time.
 */
export type { Duplex, DuplexReceiver } from './duplex/duplex.ts';
export { type MemoryDuplexOptions, memoryDuplexPair } from './duplex/memory-duplex.ts';
export { DEFAULT_SNIFF_TIMEOUT_MS, type SniffOptions, sniffProtocol } from './duplex/sniff.ts';
export { socketDuplex } from './duplex/socket-duplex.ts';
export { nameClient, socketInfo } from './duplex/socket-info.ts';
export { ClientCall, type ClientReceiver } from './grpc/client-call.ts';
export {
  type CallOptions,
  GrpcChannel,
  type GrpcChannelOptions,
  type UnaryCallback,
} from './grpc/grpc-channel.ts';
export {
  type CallObserver,
  type CallParts,
  type CallTrace,
  GrpcMethod,
  type MessageHandler,
  MethodKind,
  type PartTrace,
  type StreamHandler,
  type TraceAttributes,
} from './grpc/grpc-method.ts';
export {
  DEFAULT_MAX_HTTP_BODY_BYTES,
  DEFAULT_MAX_RECEIVE_MESSAGE_BYTES,
  DEFAULT_MAX_SEND_MESSAGE_BYTES,
  GrpcServer,
  type GrpcServerOptions,
  UNKNOWN_CONNECTION,
} from './grpc/grpc-server.ts';
export { type Metadata, NO_METADATA } from './grpc/metadata.ts';
export { type CallReceiver, type ConnectionInfo, ServerCall } from './grpc/server-call.ts';
export { type Headers, HttpExchange } from './http/http-exchange.ts';
export { type Body, MIN_REFERRED_BYTES } from './http2/body.ts';
export { Http2Counters } from './http2/connection.ts';
export type { Head } from './http2/head.ts';
export { CLIENT_LIMITS, type Http2Limits, SERVER_LIMITS } from './http2/limits.ts';
