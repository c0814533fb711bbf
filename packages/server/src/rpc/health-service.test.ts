import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import { DefragmentRequest } from '@etcd/api/etcdserverpb';
import {
  HealthCheckRequest,
  type HealthCheckResponse,
  HealthListRequest,
  ServingStatus,
} from '@etcd/api/health';
import { HealthService, MaintenanceService } from '@etcd/api/services';
import { parseFeatureGates } from '../config/feature-gates.ts';
import { FakeMember, type TestStream } from './testing/served-member.ts';

const { check, list, watch } = HealthService.methods;
const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = ServingStatus;

function watching(member: FakeMember, service = ''): TestStream<HealthCheckRequest, HealthCheckResponse> {
  const stream = member.open(watch);
  stream.send(new HealthCheckRequest({ service }));
  stream.halfClose();
  return stream;
}

const told = (stream: TestStream<HealthCheckRequest, HealthCheckResponse>): number[] =>
  stream.responses.map(({ status }) => status);

/** Says that it does not serve while it defragments, which takes until a test says so. */
class Defragmenting extends FakeMember {
  readonly #waiting: ((error: null) => void)[] = [];

  constructor() {
    super({ config: { featureGates: parseFeatureGates('StopGRPCServiceOnDefrag=true').gates! } });
    this.backend.defragThen = (done) => void this.#waiting.push(done);
  }

  begin(): void {
    this.call(MaintenanceService.methods.defragment, new DefragmentRequest());
  }

  finish(): void {
    for (const done of this.#waiting.splice(0)) done(null);
    this.clock.settle();
  }
}

test('all streams end when the member stops, those of services that nobody knows too', () => {
  const member = new FakeMember();
  const streams = [watching(member), watching(member, 'etcdserverpb.KV')];
  assert.deepEqual(streams.map(told), [[SERVING], [SERVICE_UNKNOWN]]);
  assert.equal(member.services.streamCount, 2);
  member.services.stop();
  member.clock.settle();
  for (const stream of streams) assert.equal(stream.end?.message, RPC_ERRORS.ErrGRPCStopped.message);
  assert.deepEqual(told(streams[0]!), [SERVING, NOT_SERVING]);
  assert.equal(member.services.streamCount, 0);
});

test('a client that goes is forgotten, whatever it watched', () => {
  const member = new FakeMember();
  for (const service of ['', 'another']) watching(member, service).cancel();
  assert.equal(member.services.streamCount, 0);
  member.fence();
});

test('a member that has stopped does not serve again because a defragmentation ends', () => {
  const member = new Defragmenting();
  member.begin();
  member.services.stop();
  member.finish();
  assert.equal(member.ask(check, new HealthCheckRequest()).status, NOT_SERVING);
});

test('a member with wrong data does not serve again because a defragmentation ends', () => {
  const member = new Defragmenting();
  const stream = watching(member);
  member.begin();
  member.fence();
  member.finish();
  assert.deepEqual(told(stream), [SERVING, NOT_SERVING]);
});

test('two defragmentations at a time are told as one', () => {
  const member = new Defragmenting();
  const stream = watching(member);
  for (let i = 0; i < 2; i++) member.begin();
  member.finish();
  assert.deepEqual(told(stream), [SERVING, NOT_SERVING, SERVING]);
});

test('the list names the whole, the only service with a name, as serving or not', () => {
  const member = new Defragmenting();
  const listed = (): [name: string, status: number | undefined][] =>
    member.ask(list, new HealthListRequest()).statuses.map(({ key, value }) => [key, value?.status]);
  assert.deepEqual(listed(), [['', SERVING]]);
  member.begin();
  assert.deepEqual(listed(), [['', NOT_SERVING]]);
});
