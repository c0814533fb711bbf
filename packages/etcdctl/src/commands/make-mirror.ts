/** `etcdctl make-mirror`: keeps a copy of keys in another cluster up to date. */

import type { RequestOp } from '@etcd/api/etcdserverpb';
import { type Event, EventType } from '@etcd/api/mvccpb';
import { CompactedError, type EtcdClient, op } from '@etcd/client';
import {
  type Command,
  ExitError,
  type FlagValues,
  type Invocation,
  namedCredentials,
  Progress,
  tlsFrom,
} from '@etcd/host/cli';
import { onlyArgument } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withSession } from '../session.ts';
import { bytesOf } from '../words.ts';

const REPORT_INTERVAL_MS = 30_000;
const DEFAULT_MAX_OPERATIONS = 128;

export const MAKE_MIRROR: Command = {
  name: 'make-mirror',
  usage: '[options] <destination>',
  summary: 'Keeps a copy of keys in another cluster',
  group: GROUP.UTILITY,
  flags: [
    { name: 'prefix', type: 'string', usage: 'only keys that begin so' },
    {
      name: 'rev',
      type: 'int64',
      usage: 'only changes from this revision on, instead of all that is there first',
    },
    {
      name: 'max-txn-ops',
      type: 'uint',
      default: String(DEFAULT_MAX_OPERATIONS),
      usage: 'changes of one transaction at the destination',
    },
    { name: 'dest-prefix', type: 'string', usage: 'what takes the place of the prefix at the destination' },
    { name: 'no-dest-prefix', type: 'bool', usage: 'leave the prefix out at the destination' },
    { name: 'dest-cert', type: 'string', usage: 'file with the certificate to show to the destination' },
    { name: 'dest-key', type: 'string', usage: 'file with the key of that certificate' },
    { name: 'dest-cacert', type: 'string', usage: 'file with the authorities of the destination' },
    { name: 'dest-insecure-transport', type: 'bool', default: 'true', usage: 'no TLS to the destination' },
    { name: 'dest-user', type: 'string', usage: 'user at the destination, as name or name:password' },
    { name: 'dest-password', type: 'string', usage: 'password of that user' },
  ],
  run: makeMirror,
};

async function makeMirror(invocation: Invocation): Promise<void> {
  const destination = onlyArgument(invocation.args, 'make-mirror takes one destination argument');
  const { flags, io } = invocation;
  await withSession(invocation, async (session) => {
    const credentials = await namedCredentials(
      flags.text('dest-user'),
      flags.text('dest-password'),
      'Destination Password: ',
    );
    const tls = tlsFrom(
      {
        cert: flags.text('dest-cert'),
        key: flags.text('dest-key'),
        cacert: flags.text('dest-cacert'),
        serverName: '',
        isInsecure: flags.bool('dest-insecure-transport'),
        skipsVerification: false,
      },
      EXIT.BAD_ARGS,
    );
    const target = await session.client([destination], {
      credentials: undefined,
      token: undefined,
      ...credentials,
      tls,
    });
    const mirror = new Mirror(await session.client(), target, flags);
    const timer = setInterval(() => io.line(String(mirror.count)), REPORT_INTERVAL_MS);
    try {
      await mirror.run();
    } finally {
      clearInterval(timer);
    }
  });
}

class Mirror {
  readonly #source: EtcdClient;
  readonly #target: EtcdClient;
  readonly #prefix: Buffer;
  readonly #targetPrefix: Buffer;
  readonly #maxOperations: number;
  /** The first revision whose changes are copied; 0 to copy what is there first. */
  #revision: number;
  /** Keys that have been copied. */
  count = 0;

  constructor(source: EtcdClient, target: EtcdClient, flags: FlagValues) {
    const targetPrefix = flags.text('dest-prefix');
    if (flags.bool('no-dest-prefix') && targetPrefix !== '') {
      const problem = '`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one';
      throw new ExitError(EXIT.BAD_ARGS, problem);
    }
    this.#source = source;
    this.#target = target;
    this.#prefix = Buffer.from(bytesOf(flags.text('prefix')));
    const isKept = targetPrefix === '' && !flags.bool('no-dest-prefix');
    this.#targetPrefix = isKept ? this.#prefix : Buffer.from(bytesOf(targetPrefix));
    this.#maxOperations = Math.max(1, flags.number('max-txn-ops'));
    // The first revision of a store has no changes.
    this.#revision = flags.number('rev') > 1 ? flags.number('rev') : 0;
  }

  /** Never ends well: it goes on until something fails. */
  async run(): Promise<void> {
    if (this.#revision === 0) await this.#copy();
    const watch = this.#source.watch(this.#prefix, { prefix: true, startRevision: this.#revision });
    try {
      for await (const { events } of watch) await this.#apply(events);
    } catch (error) {
      // Where it was is forgotten: the copy would have a hole.
      if (error instanceof CompactedError) throw new ExitError(EXIT.ERROR, error.message);
      throw error;
    }
  }

  async #copy(): Promise<void> {
    const { header, count } = await this.#source.kv.get(this.#prefix, { prefix: true, countOnly: true });
    const revision = header?.revision ?? 0;
    const progress = await Progress.start('copy', 'keys');
    try {
      await this.#copyAt(revision, (copied) => progress.update(copied, count));
    } finally {
      progress.end();
    }
    this.#revision = revision + 1;
  }

  async #copyAt(revision: number, onCopied: (count: number) => void): Promise<void> {
    for await (const pairs of this.#source.kv.pages(this.#prefix, { prefix: true, revision })) {
      for (const { key, value } of pairs) {
        await this.#target.kv.put(this.#moved(key), value);
        this.count++;
      }
      onCopied(this.count);
    }
  }

  /** Each revision is a transaction at the destination too, as far as it fits. */
  async #apply(events: readonly Event[]): Promise<void> {
    let operations: RequestOp[] = [];
    let revision = 0;
    for (const { type, kv } of events) {
      if (kv === null) continue;
      const isNext = revision !== 0 && kv.modRevision > revision;
      if (isNext || operations.length >= this.#maxOperations) {
        await this.#commit(operations);
        operations = [];
      }
      revision = kv.modRevision;
      const key = this.#moved(kv.key);
      operations.push(type === EventType.DELETE ? op.delete(key) : op.put(key, kv.value));
      this.count++;
    }
    await this.#commit(operations);
  }

  async #commit(operations: readonly RequestOp[]): Promise<void> {
    if (operations.length === 0) return;
    await this.#target.kv
      .txn()
      .do(...operations)
      .commit();
  }

  #moved(key: Uint8Array): Uint8Array {
    return Buffer.concat([this.#targetPrefix, key.subarray(this.#prefix.length)]);
  }
}
