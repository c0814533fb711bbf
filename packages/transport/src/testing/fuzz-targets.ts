/** HTTP/2 in both directions and its header blocks, fed with bytes. */
import { type FuzzTarget, InputReader, SimClock } from '@etcd/testing';
import { memoryDuplexPair } from '../duplex/memory-duplex.ts';
import { GrpcChannel } from '../grpc/grpc-channel.ts';
import { HpackDecoder } from '../hpack/hpack-decoder.ts';
import { Flag, FrameType } from '../http2/protocol.ts';
import { type Fields, frame, grpcMessage, grpcRequest, RawPeer, uint32 } from './raw-peer.ts';
import { SimServer } from './sim-server.ts';

const MAX_LIST_BYTES = 16_384;
/** Longer than any deadline of a connection. */
const LONG_MS = 200_000;
const CALLS = 3;

function assertThat(condition: boolean, problem: string): void {
  if (!condition) throw new Error(problem);
}

/** Blocks of one connection, each behind its length, so that the table of one is there for the next. */
const hpack: FuzzTarget = {
  name: 'hpack',
  what: 'header blocks of one connection',
  seeds: () => {
    const peer = rawPeer();
    const blocks = ['/etcdserverpb.KV/Put', '/etcdserverpb.Watch/Watch'].flatMap((path) => {
      const bytes = peer.block(grpcRequest(path, [['x-name', path]]));
      return [Buffer.from([bytes.length & 0xff, bytes.length >> 8]), bytes];
    });
    return [Buffer.concat(blocks)];
  },
  run: (input) => {
    const decoder = new HpackDecoder({
      interpret: (fields, listBytes) => ({ count: fields.length, listBytes }),
      maxListSizeBytes: MAX_LIST_BYTES,
    });
    for (const reader = new InputReader(input); !reader.isAtEnd; ) {
      const block = reader.bytes(reader.number(2));
      const list = decoder.decode(block, 0, block.length);
      if (list === null) {
        if (!decoder.isListTooLarge) return;
      } else assertThat(list.listBytes <= MAX_LIST_BYTES, `a list of ${list.listBytes} bytes`);
    }
  },
};

function rawPeer(): RawPeer {
  const [, theirs] = memoryDuplexPair({ clock: new SimClock() });
  return new RawPeer(theirs);
}

/** As the first of its connection. */
function block(fields: Fields): Buffer {
  return rawPeer().block(fields);
}

function requestFrames(): Buffer[] {
  const headers = (id: number, path: string, flags = 0): Buffer =>
    frame(
      FrameType.HEADERS,
      Flag.END_HEADERS | flags,
      id,
      block(grpcRequest(path, [['grpc-timeout', '1S']])),
    );
  const data = (id: number, body: string, flags = 0): Buffer =>
    frame(FrameType.DATA, flags, id, grpcMessage(body));
  return [
    Buffer.concat([headers(1, '/test.S/Echo'), data(1, 'hello', Flag.END_STREAM)]),
    Buffer.concat([
      headers(1, '/test.S/Bidi'),
      data(1, 'a'),
      data(1, 'b'),
      frame(FrameType.RST_STREAM, 0, 1, uint32(8)),
    ]),
    Buffer.concat([
      headers(1, '/test.S/Later'),
      data(1, 'x', Flag.END_STREAM),
      frame(FrameType.PING, 0, 0, Buffer.alloc(8)),
    ]),
    Buffer.concat([
      frame(FrameType.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(100)])),
      frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1000)),
      frame(FrameType.PRIORITY, 0, 3, Buffer.from([0, 0, 0, 0, 1])),
      frame(FrameType.GOAWAY, 0, 0, Buffer.alloc(8)),
    ]),
  ];
}

/** The first byte says in which pieces the frames arrive. */
const http2Server: FuzzTarget = {
  name: 'http2-server',
  what: 'frames of a client, behind the preface',
  seeds: () => requestFrames().map((frames) => Buffer.concat([Buffer.from([200]), frames])),
  run: (input) => {
    const pieceBytes = 1 + (input[0] ?? 0);
    const sim = new SimServer(new SimClock(), {
      limits: {
        maxBufferedBytes: 5000,
        maxQueuedBytes: 20_000,
        maxOutputBytes: 5000,
        streamHighWaterBytes: 500,
      },
      maxReceiveMessageBytes: 10_000,
      onRequest: (exchange) => exchange.respond(200, [], exchange.body),
    });
    const peer = sim.connect({ nextChunkBytes: () => pieceBytes });
    peer.bytes(Buffer.from(input.subarray(1)));
    sim.clock.settle();
    for (const call of sim.pending) call.respond(Buffer.alloc(100));
    sim.clock.settle();
    peer.destroy();
    sim.clock.advance(LONG_MS);
    assertThat(sim.server.connectionCount === 0, 'a connection is left');
    assertThat(sim.server.streamCount === 0, 'streams are left');
    for (const call of [...sim.pending, ...sim.streams]) {
      assertThat(call.isClosed, 'a call is open');
      assertThat(call.connection.buffered.byteCount === 0, 'bytes are buffered');
      assertThat(call.connection.sender.queuedBytes === 0, 'bytes are queued');
    }
    for (const { cancelCount } of sim.receivers) assertThat(cancelCount <= 1, 'cancelled twice');
  },
};

const http2Client: FuzzTarget = {
  name: 'http2-client',
  what: 'frames of a server that has some calls open',
  seeds: () => {
    const headers = (fields: Fields, flags = 0): Buffer =>
      frame(FrameType.HEADERS, Flag.END_HEADERS | flags, 1, block(fields));
    const head = headers([
      [':status', '200'],
      ['content-type', 'application/grpc'],
    ]);
    const end = headers(
      [
        ['grpc-status', '0'],
        ['grpc-message', 'a%20b'],
      ],
      Flag.END_STREAM,
    );
    const answer = Buffer.concat([head, frame(FrameType.DATA, 0, 1, grpcMessage('answer')), end]);
    return [answer, ...requestFrames()].map((frames) => Buffer.concat([Buffer.from([200]), frames]));
  },
  run: (input) => {
    const clock = new SimClock();
    const pieceBytes = 1 + (input[0] ?? 0);
    const [ours, theirs] = memoryDuplexPair({ clock, nextChunkBytes: () => pieceBytes });
    const channel = new GrpcChannel(ours, { clock, authority: 'test', maxReceiveMessageBytes: 1000 });
    const peer = new RawPeer(theirs);
    peer.settings([]);
    let ended = 0;
    for (let i = 0; i < CALLS; i++)
      channel.unary('/a.B/C', Buffer.alloc(10), () => ended++, { timeoutMs: 5000 });
    clock.settle();
    peer.bytes(Buffer.from(input.subarray(1)));
    clock.advance(10_000);
    assertThat(ended === CALLS, `${ended} calls of ${CALLS} have ended`);
    assertThat(channel.callCount === 0, 'calls are left');
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [hpack, http2Server, http2Client];
