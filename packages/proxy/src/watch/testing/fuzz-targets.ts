/** Messages of a watch as a member sends them to the proxy, which reads them without decoding them whole. */
import { DecodeError } from '@etcd/api';
import {
  decodeWatchResponse,
  encodeWatchResponse,
  ResponseHeader,
  WatchResponse,
} from '@etcd/api/etcdserverpb';
import { Event, KeyValue } from '@etcd/api/mvccpb';
import { type FuzzTarget, InputReader } from '@etcd/testing';
import { WatchFrame, watchIdField } from '../watch-frame.ts';

function event(modRevision: number): Event {
  return new Event({ kv: new KeyValue({ key: Buffer.from('k'), value: Buffer.from('v'), modRevision }) });
}

function attempt<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

/** Three bytes say what a watcher has had, the rest is the message. */
const watchFrame: FuzzTarget = {
  name: 'proxy-watch-frame',
  what: 'a message of a watch on its way through the proxy',
  seeds: () =>
    [
      { watchId: 5n, created: true, header: new ResponseHeader({ revision: 9 }) },
      { watchId: -1n, header: new ResponseHeader({ revision: 300 }) },
      { watchId: 1n, events: [event(3), event(3), event(4)], fragment: true },
      { watchId: 2n, canceled: true, compactRevision: 7, cancelReason: 'why' },
    ].map((fields) =>
      Buffer.concat([Uint8Array.of(3, 1, 0), encodeWatchResponse(new WatchResponse(fields))]),
    ),
  run: (input) => {
    const reader = new InputReader(input);
    const [nextRevision, skip, base] = [reader.byte(), reader.byte() % 8, reader.byte() % 8];
    const bytes = reader.rest();
    const frame = attempt(() => WatchFrame.read(bytes, 0, bytes.length));
    const whole = attempt(() => decodeWatchResponse(bytes));
    if (frame === null) return;
    attempt(() => frame.lastRevisionCount());
    attempt(() => frame.without(nextRevision, skip, base));
    if (whole === null) return;
    if (frame.eventCount !== whole.events.length) throw new Error('another number of events');
    const own = watchIdField(7n);
    const sent = attempt(() => decodeWatchResponse(Buffer.concat([frame.body, own])));
    if (sent !== null && sent.watchId !== 7n) throw new Error(`sent on to watcher ${sent.watchId}`);
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [watchFrame];
