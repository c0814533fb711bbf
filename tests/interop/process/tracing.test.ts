/** The spans of the same requests, sent to a collector of the test's own, are those of etcd 3.7. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';

/** Of OTLP what the test reads. */
const OTLP = `
  syntax = "proto3";
  message Request { repeated ResourceSpans resource_spans = 1; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message ScopeSpans { repeated Span spans = 2; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
    fixed64 start = 7; fixed64 end = 8; repeated KeyValue attributes = 9; Status status = 15;
  }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; } }
  message Status { string message = 2; int32 code = 3; }
`;
const REQUEST = protobuf.parse(OTLP).root.lookupType('Request');

interface KeyValue {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string };
}
interface OtlpSpan {
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly KeyValue[];
  readonly status?: { readonly message?: string; readonly code?: number };
}
interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

const KIND_SERVER = 2;
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN_ID = 'b7ad6b7169203331';

class Collector {
  readonly requests: OtlpRequest[] = [];
  readonly #server = new Server();
  port = 0;

  async start(): Promise<void> {
    const Export = {
      path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
      requestStream: false,
      responseStream: false,
      requestDeserialize: (bytes: Buffer) => bytes,
      requestSerialize: (bytes: Buffer) => bytes,
      responseDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (bytes: Buffer) => bytes,
    } as const;
    this.#server.addService(
      { Export },
      {
        Export: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => {
          const options = { bytes: String, longs: String };
          this.requests.push(REQUEST.toObject(REQUEST.decode(call.request), options) as OtlpRequest);
          done(null, Buffer.alloc(0));
        },
      },
    );
    this.port = await new Promise((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync('127.0.0.1:0', credentials, (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');
const attributesOf = (pairs: readonly KeyValue[]): Record<string, string | undefined> =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));

/** What matters of the spans of calls, and of what sent them, after some requests with and without a parent. */
async function traced(program: string, rate: number): Promise<unknown> {
  const collector = new Collector();
  await collector.start();
  const server = await EtcdServer.start({
    program,
    flags: [
      ...FAST_ELECTION,
      '--enable-distributed-tracing',
      `--distributed-tracing-address=127.0.0.1:${collector.port}`,
      '--distributed-tracing-service-name=svc',
      '--distributed-tracing-instance-id=inst',
      `--distributed-tracing-sampling-rate=${rate}`,
    ],
  });
  const parents: readonly Record<string, string>[] = [
    { traceparent: `00-${TRACE_ID}-${SPAN_ID}-01` },
    { traceparent: `00-${TRACE_ID}-${SPAN_ID}-00` },
    {},
  ];
  try {
    for (const metadata of parents) {
      const rpc = new EtcdRpc(server.address, metadata);
      await rpc.call('KV.Put', { key: Buffer.from('k'), value: Buffer.from('v') });
      await rpc.call('KV.Range', { key: Buffer.from('k') });
      await assert.rejects(rpc.call('KV.Range', {}));
      await assert.rejects(rpc.call('Lease.LeaseRevoke', { ID: 77 }));
      await rpc.call('Cluster.MemberList', {});
      const renewals = rpc.stream('Lease.LeaseKeepAlive');
      renewals.send({ ID: 77 });
      assert.ok(await renewals.next());
      renewals.end();
      assert.equal(await renewals.next(), null);
      rpc.close();
    }
  } finally {
    await server.stop();
    collector.stop();
  }
  const sent = collector.requests.flatMap(({ resourceSpans }) => resourceSpans);
  const resources = sent.map(({ resource }) =>
    JSON.stringify(Object.entries(attributesOf(resource.attributes)).sort()),
  );
  const spans = sent
    .flatMap(({ scopeSpans }) => scopeSpans)
    .flatMap((scope) => scope.spans)
    .filter(({ kind }) => kind === KIND_SERVER)
    .map(({ name, traceId, parentSpanId, attributes, status }) => {
      const told = attributesOf(attributes);
      assert.equal(told['server.port'], `${server.clientPort}`);
      const isOfParent = hex(traceId) === TRACE_ID;
      const parent = hex(parentSpanId ?? '');
      return { name, isOfParent, parent, told: { ...told, 'server.port': 'port' }, code: status?.code ?? 0 };
    })
    .map((span) => JSON.stringify({ ...span, told: Object.entries(span.told).sort() }));
  return { resources: [...new Set(resources)], spans: spans.sort() };
}

for (const [rate, expected] of [
  [0, 6],
  [1_000_000, 12],
] as const) {
  test(`at rate ${rate} calls have the spans that etcd 3.7 gives them`, needs('etcd 3.7'), async () => {
    const ours = (await traced(SUBJECT, rate)) as { spans: string[] };
    assert.equal(ours.spans.length, expected);
    assert.deepEqual(ours, await traced(peer('3.7', 'etcd'), rate));
  });
}
