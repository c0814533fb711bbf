/** Everything that comes from other members, fed with bytes: both streams, answers, and the requests of a peer URL. */
import type { EventEmitter } from 'node:events';
import { type IncomingMessage, ServerResponse } from 'node:http';
import { Entry, encodeMessage, Message, MessageType } from '@etcd/api/raftpb';
import { type FuzzTarget, InputReader } from '@etcd/testing';
import { AppendEncoder, AppendFormat } from '../append-codec.ts';
import { writeU64 } from '../big-endian.ts';
import { PeerCodecError } from '../codec-error.ts';
import { FrameDecoder, type FrameFormat } from '../frame-decoder.ts';
import type { FrameTarget } from '../frame-target.ts';
import { HttpResponseReader } from '../http-response-reader.ts';
import { MessageEncoder, MessageFormat } from '../message-codec.ts';
import { PeerHttp } from '../peer-http.ts';
import { FakeConnection, heartbeat, LOCAL, PeerWorld, REMOTE, snapshotMessage } from './peer-world.ts';

const LONG_MS = 3_600_000;
const MAX_STEPS = 50;

class Sink implements FrameTarget {
  bytes = new Uint8Array(4096);
  length = 0;

  reserve(length: number): number {
    this.length += length;
    return this.length - length;
  }

  written(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }
}

function appends(): Message[] {
  const entry = (index: number): Entry => new Entry({ term: 3, index, data: Buffer.from('x') });
  const common = { type: MessageType.MsgApp, from: REMOTE, to: LOCAL, term: 3, logTerm: 3, commit: 7 };
  return [
    new Message({ ...common, index: 7, entries: [entry(8)] }),
    new Message({ ...common, index: 8, entries: [entry(9), entry(10)] }),
  ];
}

/** The first byte says in which pieces the stream arrives. */
function streamTarget(name: string, what: string, seed: () => Buffer, format: () => FrameFormat): FuzzTarget {
  return {
    name,
    what,
    seeds: () => [0, 255].map((piece) => Buffer.concat([Uint8Array.of(piece), seed()])),
    run: (input) => {
      const reader = new InputReader(input);
      const pieceBytes = 1 + reader.byte();
      const messages: Message[] = [];
      const decoder = new FrameDecoder(format(), (message) => messages.push(message));
      try {
        while (!reader.isAtEnd) decoder.push(Buffer.from(reader.bytes(pieceBytes)));
      } catch (error) {
        if (!(error instanceof PeerCodecError)) throw error;
      }
      for (const message of messages) encodeMessage(message);
    },
  };
}

const appendStream = streamTarget(
  'append-stream',
  'the stream of MsgApp (msgappv2)',
  () => {
    const sink = new Sink();
    const encoder = new AppendEncoder();
    for (const message of appends()) encoder.encode(message, sink);
    encoder.encodeHeartbeat(sink);
    return sink.written();
  },
  () => new AppendFormat(LOCAL, REMOTE),
);

const messageStream = streamTarget(
  'message-stream',
  'the stream of all other messages',
  () => {
    const sink = new Sink();
    const encoder = new MessageEncoder();
    for (const message of [heartbeat(), snapshotMessage(), ...appends()]) encoder.encode(message, sink);
    encoder.encodeHeartbeat(sink);
    return sink.written();
  },
  () => new MessageFormat(),
);

const peerAnswer: FuzzTarget = {
  name: 'peer-answer',
  what: 'the HTTP answer of another member',
  tokens: [
    '\r\n',
    'HTTP/1.1 200 OK\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Content-Length: 5\r\n',
    '0\r\n\r\n',
    'ffffffff\r\n',
  ],
  seeds: () =>
    [
      'HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.30\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n',
      'HTTP/1.1 410 Gone\r\nContent-Length: 15\r\n\r\nremoved member\n',
      'HTTP/1.0 404 Not Found\r\n\r\nwhatever',
    ].map((text) => Buffer.from(`\xff${text}`, 'latin1')),
  run: (input) => {
    const reader = new InputReader(input);
    const pieceBytes = 1 + reader.byte();
    let [heads, ends] = [0, 0];
    const answer = new HttpResponseReader({ onHead: () => heads++, onBody: () => {}, onEnd: () => ends++ });
    try {
      while (!reader.isAtEnd) {
        const piece = reader.bytes(pieceBytes);
        answer.push(piece, piece.length);
      }
      answer.end();
    } catch (error) {
      if (!(error instanceof PeerCodecError)) throw error;
    }
    if (heads > 1 || ends > 1) throw new Error(`${heads} heads, ${ends} ends`);
  },
};

const PATHS = [
  '/raft',
  '/raft/snapshot',
  '/raft/probing',
  '/raft/stream/message/b',
  '/raft/stream/msgapp/b',
  '/members',
  '/leases',
];
const METHODS = ['POST', 'GET', 'PUT'];
const HEADERS: Readonly<Record<string, string>> = {
  'x-server-from': 'b',
  'x-server-version': '3.5.30',
  'x-min-cluster-version': '3.0.0',
  'x-etcd-cluster-id': 'c1',
  'x-raft-to': 'a',
  'x-peerurls': 'http://b:2380',
};
const HEADER_NAMES = Object.keys(HEADERS);

function framed(message: Message): Buffer {
  const bytes = encodeMessage(message);
  const length = Buffer.alloc(8);
  writeU64(length, 0, bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Path, method, a header that is other than it should be (and how), in which pieces the body comes, and how it ends. */
const peerRequest: FuzzTarget = {
  name: 'peer-request',
  what: 'a request at a peer URL: messages, snapshots with their databases, probes, streams',
  seeds: () => [
    Buffer.concat([Uint8Array.of(0, 0, 255, 0, 200, 0), encodeMessage(appends()[0]!)]),
    Buffer.concat([Uint8Array.of(1, 0, 255, 0, 200, 0), framed(snapshotMessage()), Buffer.from('database')]),
    ...PATHS.map((_, i) => Uint8Array.of(i, 1, 255, 0, 200, 1)),
  ],
  run: (input) => {
    const reader = new InputReader(input);
    const [path, method, header, length, piece, end] = Array.from({ length: 6 }, () =>
      reader.byte(),
    ) as number[];
    const headers = { ...HEADERS };
    if (header! < HEADER_NAMES.length) {
      headers[HEADER_NAMES[header!]!] = Buffer.from(reader.bytes(length! % 64)).toString('latin1');
    }
    const world = new PeerWorld();
    const http = new PeerHttp({
      clock: world.clock,
      environment: () => world,
      findPeer: () => undefined,
      addRemote: () => {},
      receive: (message) => {
        encodeMessage(message);
        return true;
      },
    });
    const connection = new FakeConnection();
    const request = Object.assign(connection.asRequest(), {
      url: PATHS[path! % PATHS.length]!,
      method: METHODS[method! % METHODS.length]!,
      headers,
      socket: { remoteAddress: '127.0.0.1' },
    }) as EventEmitter as IncomingMessage;
    http.onHttp1(request, new ServerResponse(request));
    for (let steps = 0; !reader.isAtEnd && steps < MAX_STEPS; steps++) {
      connection.emit('data', Buffer.from(reader.bytes(1 + piece!)));
      world.receiver.complete();
    }
    if (end! % 2 === 0) connection.emit('end');
    world.receiver.complete();
    connection.emit('close');
    world.clock.advance(LONG_MS);
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [appendStream, messageStream, peerAnswer, peerRequest];
