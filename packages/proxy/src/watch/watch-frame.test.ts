import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecodeError } from '@etcd/api';
import {
  decodeWatchResponse,
  encodeWatchResponse,
  ResponseHeader,
  WatchResponse,
} from '@etcd/api/etcdserverpb';
import { Event, KeyValue } from '@etcd/api/mvccpb';
import { SeededRandom } from '@etcd/base';
import { WatchFrame, watchIdField } from './watch-frame.ts';

function responseOf(random: SeededRandom): WatchResponse {
  const chance = (): boolean => random.chance(0.5);
  let revision = 1 + random.below(5);
  const events = Array.from({ length: random.below(6) }, () => {
    if (chance()) revision += random.below(300);
    return new Event({
      type: random.below(2),
      kv: new KeyValue({ key: Buffer.from('k'), modRevision: revision }),
    });
  });
  return new WatchResponse({
    header: chance() ? new ResponseHeader({ clusterId: 2n ** 63n, revision: random.below(1e9) }) : null,
    watchId: [0n, 1n, 127n, 128n, 1n << 40n, -1n][random.below(6)]!,
    created: chance(),
    canceled: chance(),
    fragment: chance(),
    compactRevision: random.below(1000),
    cancelReason: chance() ? 'étcd: no' : '',
    events,
  });
}

test('a frame says what its message does, and its body with another id is that message for another watcher', () => {
  const random = new SeededRandom(3);
  for (let i = 0; i < 2000; i++) {
    const response = responseOf(random);
    const bytes = Buffer.concat([Buffer.from('xx'), encodeWatchResponse(response), Buffer.from('yy')]);
    const frame = WatchFrame.read(bytes, 2, bytes.length - 2);
    const { watchId, created, canceled, fragment, compactRevision, cancelReason, events, header } = response;
    assert.deepEqual(
      [
        frame.watchId,
        frame.created,
        frame.canceled,
        frame.fragment,
        frame.compactRevision,
        frame.cancelReason,
      ],
      [Number(watchId), created, canceled, fragment, compactRevision, cancelReason],
    );
    assert.deepEqual(
      [frame.revision, frame.eventCount, frame.firstRevision, frame.lastRevision],
      [
        header?.revision ?? 0,
        events.length,
        events[0]?.kv?.modRevision ?? 0,
        events.at(-1)?.kv?.modRevision ?? 0,
      ],
    );
    const last = frame.lastRevision;
    const ofLast = events.filter(({ kv }) => kv?.modRevision === last).length;
    if (events.length > 0) assert.equal(frame.lastRevisionCount(), ofLast);
    for (const id of [0n, 5n, 300n, -1n]) {
      const sent = decodeWatchResponse(Buffer.concat([frame.body, watchIdField(id)]));
      assert.deepEqual(
        encodeWatchResponse(sent),
        encodeWatchResponse(new WatchResponse({ ...response, watchId: id })),
      );
    }
  }
});

test('what a watcher has had is left out, by revision and by place within it', () => {
  const event = (modRevision: number, version: number): Event =>
    new Event({ kv: new KeyValue({ key: Buffer.from('k'), modRevision, version }) });
  const events = [event(5, 2), event(5, 3), event(6, 0), event(6, 1), event(7, 0)];
  const bytes = encodeWatchResponse(new WatchResponse({ events }));
  const frame = WatchFrame.read(bytes, 0, bytes.length);
  const left = (next: number, skip: number, base: number): string[] | null => {
    const body = frame.without(next, skip, base);
    if (body === null) return null;
    return decodeWatchResponse(body).events.map(({ kv }) => `${kv?.modRevision}.${kv?.version}`);
  };
  assert.deepEqual(left(6, 0, 0), ['6.0', '6.1', '7.0']);
  assert.deepEqual(left(6, 1, 0), ['6.1', '7.0']);
  // Two of revision 5 came before this message.
  assert.deepEqual(left(5, 3, 2), ['5.3', '6.0', '6.1', '7.0']);
  assert.deepEqual(left(5, 2, 2), ['5.2', '5.3', '6.0', '6.1', '7.0']);
  assert.equal(left(8, 0, 0), null);
});

test('S17 a length that is a negative number is an error, as in whoever decodes it whole', () => {
  const bytes = Buffer.from('0affffffffffffffffff01', 'hex');
  assert.throws(() => WatchFrame.read(bytes, 0, bytes.length), DecodeError);
  assert.throws(() => decodeWatchResponse(bytes), DecodeError);
});

test('S17 a message that ends too early is an error, wherever it ends', () => {
  const response = responseOf(new SeededRandom(11));
  response.events = [new Event({ kv: new KeyValue({ key: Buffer.from('key'), modRevision: 9 }) })];
  response.cancelReason = 'reason';
  const bytes = encodeWatchResponse(response);
  let errors = 0;
  for (let end = 1; end < bytes.length; end++) {
    try {
      WatchFrame.read(bytes, 0, end);
    } catch (error) {
      assert.ok(error instanceof DecodeError);
      errors++;
    }
  }
  assert.ok(errors > bytes.length / 2);
});
