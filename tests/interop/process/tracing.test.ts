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
    fixed64 start = 7; fixed64 end = 8;
    repeated KeyValue attributes = 9; repeated Event events = 11;
    Status status = 15;
  }
  message Event { fixed64 time = 1; string name = 2; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; } }
  message Status { string message = 2; int32 code = 3; }
`;
const REQUEST = protobuf.parse(OTLP).root.lookupType('Request');

interface KeyValue {
  readonly key: string;
  readonly value: {
    readonly stringValue?: string;
    readonly intValue?: string;
    readonly boolValue?: boolean;
  };
}
interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly KeyValue[];
  readonly events?: readonly { readonly name: string }[];
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
  Object.fromEntries(
    pairs.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? `${value.boolValue}`]),
  );

const K = Buffer.from('k');
const V = Buffer.from('v');
const PUT = { request_put: { key: K, value: V, lease: 0 } };
const RANGE = { request_range: { key: K } };
/** Larger than etcd writes into the attributes of its language's numbers; ours has it as text. */
const LEASE = '8888888888888888888';

/** One call of each kind that has a part of its own, in good and bad. */
async function callAll(rpc: EtcdRpc): Promise<void> {
  await rpc.call('KV.Put', { key: K, value: V });
  await rpc.call('KV.Range', { key: K });
  await rpc.call('KV.Range', { key: K, range_end: Buffer.from([0]), limit: 3, revision: 2, keys_only: true });
  await assert.rejects(rpc.call('KV.Range', {}));
  await assert.rejects(rpc.call('KV.Range', { key: K, revision: 99_999 }));
  await assert.rejects(rpc.call('KV.Put', { key: K, lease: 5 }));
  await assert.rejects(rpc.call('KV.Put', { key: K, value: Buffer.alloc(1.55 * 1024 * 1024) }));
  await rpc.call('KV.DeleteRange', { key: K, range_end: Buffer.from('l') });
  await rpc.call('KV.Txn', {
    compare: [{ key: K, target: 0, result: 1 }],
    success: [PUT, RANGE],
    failure: [RANGE],
  });
  await rpc.call('KV.Txn', { success: [RANGE] });
  await assert.rejects(rpc.call('KV.Compact', { revision: 99_999, physical: true }));
  await rpc.call('Lease.LeaseGrant', { ID: LEASE, TTL: 100 });
  await rpc.call('Lease.LeaseRevoke', { ID: LEASE });
  await assert.rejects(rpc.call('Lease.LeaseRevoke', { ID: 77 }));
  await rpc.call('Cluster.MemberList', {});
  await assert.rejects(rpc.call('Auth.UserDelete', { name: 'nobody' }));
  const renewals = rpc.stream('Lease.LeaseKeepAlive');
  renewals.send({ ID: 77 });
  assert.ok(await renewals.next());
  renewals.end();
  assert.equal(await renewals.next(), null);
  await watchSome(rpc);
}

/** A watcher that is canceled, one that is refused, and one that ends with its stream. */
async function watchSome(rpc: EtcdRpc): Promise<void> {
  const watch = rpc.stream('Watch.Watch');
  for (const request of [
    { create_request: { key: K, range_end: Buffer.from([0]), progress_notify: true } },
    { create_request: { key: K, range_end: Buffer.from('a') } },
    { create_request: { key: K, start_revision: 99_999, prev_kv: true, fragment: true } },
    { cancel_request: { watch_id: 0 } },
  ]) {
    watch.send(request);
    assert.ok(await watch.next());
  }
  watch.cancel();
}

/** Spans without what differs from run to run, sorted. */
function comparable(spans: readonly OtlpSpan[], port: number): string[] {
  const names = new Map(spans.map(({ spanId, name }) => [spanId, name]));
  return spans
    .map(({ name, kind, traceId, parentSpanId, attributes, events, status }) => {
      const told = attributesOf(attributes);
      if (kind === KIND_SERVER) assert.equal(told['server.port'], `${port}`);
      const parent = names.get(parentSpanId ?? '') ?? hex(parentSpanId ?? '');
      const shown = Object.entries({ ...told, ...(kind === KIND_SERVER ? { 'server.port': 'port' } : {}) });
      return {
        name,
        kind,
        isOfParent: hex(traceId) === TRACE_ID,
        parent,
        told: shown.sort(),
        events: (events ?? []).map((event) => event.name),
        code: status?.code ?? 0,
      };
    })
    .map((span) => JSON.stringify(span))
    .sort();
}

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
    {},
    // Last, because what is canceled before it is over by then.
    { traceparent: `00-${TRACE_ID}-${SPAN_ID}-00` },
  ];
  try {
    for (const metadata of parents) {
      const rpc = new EtcdRpc(server.address, metadata);
      await callAll(rpc);
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
  const spans = sent.flatMap(({ scopeSpans }) => scopeSpans).flatMap((scope) => scope.spans);
  return { resources: [...new Set(resources)], spans: comparable(spans, server.clientPort) };
}

for (const [rate, expected] of [
  [0, 34],
  [1_000_000, 68],
] as const) {
  test(`at rate ${rate} calls have the spans that etcd 3.7 gives them`, needs('etcd 3.7'), async () => {
    const ours = (await traced(SUBJECT, rate)) as { spans: string[] };
    assert.equal(ours.spans.length, expected);
    assert.deepEqual(ours, await traced(peer('3.7', 'etcd'), rate));
  });
}
