/**
 * Bugs to be put into simulated members from outside, each a way in which a real one could be wrong: what they break must be
 * found by the checks, or the checks are worth nothing.
 */
import type { InternalError } from '@etcd/api';
import { PutRequest, TxnRequest } from '@etcd/api/etcdserverpb';
import { Message, MessageType } from '@etcd/api/raftpb';
import type { Disk, DiskError, DiskFile } from '@etcd/base';
import type { RawNode } from '@etcd/raft';
import { EtcdServer, type MemberParts } from '@etcd/server';
import type { Identity } from '@etcd/storage/auth';
import type { WatchHub, WatchSink } from '@etcd/storage/mvcc';

export interface Plant {
  /** Stands between a member and its disk. */
  readonly disk?: (disk: Disk, nowMs: () => number) => Disk;
  /** Stands between the network and a member with these fellows: what it hears for a message. */
  readonly receive?: (message: Message, memberIds: readonly bigint[]) => readonly Message[];
  /** Where a member begins to count its requests. */
  readonly requestIdStart?: (wallMs: number) => number;
  /** Changes what a member has found on its disk. */
  readonly parts?: (parts: MemberParts) => void;
  /** Changes a member that is about to start. */
  readonly member?: (server: EtcdServer, parts: MemberParts) => void;
  /** Changes its raft. */
  readonly node?: (node: RawNode) => void;
}

const EVENTS_PER_LOSS = 40;

/** The log says that it is synced without having done anything: what is acknowledged may be lost. */
const acknowledgesBeforeSync: Plant = {
  disk: (disk) =>
    through(disk, {
      openFile: (path, options) => {
        const file = disk.openFile(path, options);
        return path.includes('/wal/') ? unsynced(file) : file;
      },
    }),
};

/** What a start finds is taken for durable: the first sync of a file that was there, before anything is written to it, does nothing. */
const trustsWhatItFinds: Plant = {
  disk: (disk) =>
    through(disk, {
      openFile: (path, options) => {
        const file = disk.openFile(path, options);
        return options.create === true ? file : unsyncedUntilWritten(file);
      },
    }),
};

/** A member's own snapshot is recorded whatever has been recorded since it was begun. */
const recordsSnapshotsBlindly: Plant = {
  parts: ({ wal }) => Object.defineProperty(wal, 'snapshotIndex', { get: () => 0 }),
};

/** Every vote for a candidate counts for another member as well: a minority may elect. */
const countsVotesTwice: Plant = {
  receive: (message, memberIds) => {
    if (message.type !== MessageType.MsgVoteResp || message.reject) return [message];
    const other = memberIds.find((id) => id !== message.from && id !== message.to);
    return other === undefined ? [message] : [message, new Message({ ...message, from: other })];
  },
};

/** Linearizable reads are served without asking the leader. */
const readsWithoutAsking: Plant = {
  member: (server) => {
    server.read = (reader) => server.readLocally(reader);
  },
};

/** Every so often watchers are not told of something. */
const forgetsEvents: Plant = {
  member: (server) => {
    const watches = Object.getOwnPropertyDescriptor(EtcdServer.prototype, 'watches')!.get!;
    let count = 0;
    const forgetful = (sink: WatchSink): WatchSink =>
      through(sink, {
        sendEvents: (...told) => {
          if (++count % EVENTS_PER_LOSS !== 0) sink.sendEvents(...told);
        },
      });
    Object.defineProperty(server, 'watches', {
      get: () => {
        const hub = watches.call(server) as WatchHub;
        return through(hub, { newStream: (sink) => hub.newStream(forgetful(sink)) });
      },
    });
  },
};

/** Whose an entry is, is told by the id of its request alone. */
const findsRequestsById: Plant = {
  member: ({ pending }) => {
    const proposals = new Map<number, Uint8Array>();
    const add = pending.add.bind(pending);
    const take = pending.take.bind(pending);
    pending.add = (id, waiter, proposal, nowMs) => {
      proposals.set(id, proposal);
      add(id, waiter, proposal, nowMs);
    };
    pending.take = (id, data) => take(id, proposals.get(id) ?? data);
  },
};

/** The same, and ids begin at the time of the start. */
const countsRequestsFromTheClock: Plant = {
  ...findsRequestsById,
  requestIdStart: (wallMs) => (wallMs % 2 ** 40) * 256,
};

/** A leader confirms renewals of leases as long as it knows of no other. */
const renewsWithoutAsking: Plant = {
  member: (server) => {
    const { lessor } = server;
    const promote = lessor.promote.bind(lessor);
    lessor.promote = (extendMs) => promote(extendMs / 2);
    server.confirmLeadership = (then) => then(server.isLeader);
  },
};

/** Who reads over several turns holds compactions up, but goes on in the store that a snapshot has put in the place of its own. */
const goesOnInTheNewStore: Plant = {
  member: ({ store }) => {
    const open = store.views.open.bind(store.views);
    store.views.open = (...opened) =>
      through(open(...opened), {
        get index() {
          return store.index;
        },
        get backend() {
          return store.backend;
        },
      });
  },
};

/** Compactions remove what is being read. */
const compactsUnderReaders: Plant = {
  member: ({ store }) => {
    store.views.whenNoneBefore = (_revision, callback) => callback();
  },
};

/** What its user may do now is all that an entry is judged by, whatever it was when the entry was made. */
const ignoresAuthRevision: Plant = {
  member: ({ access, auth }) => {
    const current = ({ name, revision }: Identity): Identity => ({
      name,
      revision: revision === 0 ? 0 : auth.revision,
    });
    const put = access.put.bind(access);
    const txn = access.txn.bind(access);
    access.put = (identity, request) => put(current(identity), request);
    access.txn = (identity, request) => txn(current(identity), request);
  },
};

/** A member takes for the verdict on an entry of its own that which it came to when it proposed it. */
const judgesWhenProposing: Plant = {
  member: ({ access, proposals }) => {
    const verdicts = new WeakMap<object, InternalError | null>();
    const put = access.put.bind(access);
    const txn = access.txn.bind(access);
    const proposeBytes = proposals.proposeBytes.bind(proposals);
    proposals.proposeBytes = (kind, bytes, start, end, identity, waiter) => {
      const { request } = waiter;
      if (request instanceof PutRequest) verdicts.set(request, put(identity, request));
      if (request instanceof TxnRequest) verdicts.set(request, txn(identity, request));
      proposeBytes(kind, bytes, start, end, identity, waiter);
    };
    access.put = (identity, request) =>
      verdicts.has(request) ? (verdicts.get(request) ?? null) : put(identity, request);
    access.txn = (identity, request) =>
      verdicts.has(request) ? (verdicts.get(request) ?? null) : txn(identity, request);
  },
};

/** Moments that differ by less are one: they are sums of fractions. */
const SAME_MS = 0.001;
const LATE_MS = 1000;

/** Of two completions that were long in coming and come at the same moment, as when a disk that was stuck goes on, the second is lost. */
const losesSecondCompletion: Plant = {
  disk: (disk, nowMs) => {
    let lastMs = -1;
    const once = (done: (error: DiskError | null) => void): ((error: DiskError | null) => void) => {
      const startMs = nowMs();
      return (error) => {
        const isLate = nowMs() - startMs > LATE_MS;
        const isSecond = isLate && nowMs() - lastMs < SAME_MS;
        if (isLate) lastMs = nowMs();
        if (!isSecond) done(error);
      };
    };
    return through(disk, {
      openFile: (path, options) => {
        const file = disk.openFile(path, options);
        const syncThen: DiskFile['syncThen'] = (done) => file.syncThen(once(done));
        const writeThen: DiskFile['writeThen'] = (chunks, position, done) =>
          file.writeThen(chunks, position, once(done));
        return through(file, {
          syncThen,
          writeThen,
          writeSyncedThen: (chunks, position, done) =>
            writeThen(chunks, position, (error) => (error === null ? syncThen(done) : done(error))),
        });
      },
    });
  },
};

/** So long after a quorum has answered no other member can have been elected, as its leader's clock goes. */
const LEASE_MS = 850;

/** A leader answers reads by itself as long as its lease has not ended: right where all clocks go equally fast. */
const readsByLease: Plant = {
  member: (server, { node }) => {
    const heardMs = new Map<bigint, number>();
    const step = node.step.bind(node);
    node.step = (message) => {
      if (message.type === MessageType.MsgHeartbeatResp || message.type === MessageType.MsgAppResp) {
        heardMs.set(message.from, server.clock.now());
      }
      return step(message);
    };
    const read = server.read.bind(server);
    const holdsLease = (): boolean => {
      const voters = server.membership.members().filter(({ isLearner }) => !isLearner);
      const since = server.clock.now() - LEASE_MS;
      const near = voters.filter(({ id }) => id === server.memberId || (heardMs.get(id) ?? 0) >= since);
      return server.isLeader && near.length > voters.length / 2;
    };
    server.read = (reader) => (holdsLease() ? server.readLocally(reader) : read(reader));
  },
};

/** How much of a lease is left is recorded, and forgotten. */
const losesCheckpoints: Plant = {
  member: ({ lessor }) => {
    lessor.checkpoint = () => {};
  },
};

/** A leader proposes while it hands over, which raft refuses. */
const proposesMeanwhile: Plant = {
  node: (node) => Object.defineProperty(node, 'transferee', { get: () => 0n }),
};

export const PLANTS = {
  acknowledgesBeforeSync,
  compactsUnderReaders,
  countsRequestsFromTheClock,
  countsVotesTwice,
  findsRequestsById,
  forgetsEvents,
  goesOnInTheNewStore,
  ignoresAuthRevision,
  judgesWhenProposing,
  readsWithoutAsking,
  recordsSnapshotsBlindly,
  trustsWhatItFinds,
} as const satisfies Readonly<Record<string, Plant>>;

/** Those that random worlds show too seldom for a test: each has one of its own, which brings about what it takes. */
export const RARE_PLANTS = {
  losesCheckpoints,
  losesSecondCompletion,
  proposesMeanwhile,
  readsByLease,
  renewsWithoutAsking,
} as const satisfies Readonly<Record<string, Plant>>;

function unsynced(file: DiskFile): DiskFile {
  return through(file, {
    sync: () => {},
    writeSynced: (...given) => file.write(...given),
    writeSyncedThen: (...given) => file.writeThen(...given),
    // Goes through the disk all the same, so that the answer comes in a later turn.
    syncThen: (done) => file.readThen(new Uint8Array(1), 0, 1, 0, (error) => done(error)),
  });
}

function unsyncedUntilWritten(file: DiskFile): DiskFile {
  let isWritten = false;
  return through(file, {
    write: (...given) => {
      isWritten = true;
      file.write(...given);
    },
    writeThen: (...given) => {
      isWritten = true;
      file.writeThen(...given);
    },
    writeSynced: (...given) => {
      isWritten = true;
      file.writeSynced(...given);
    },
    writeSyncedThen: (...given) => {
      isWritten = true;
      file.writeSyncedThen(...given);
    },
    sync: () => {
      if (isWritten) file.sync();
    },
  });
}

/** An object that is `target` but for some methods. */
function through<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get(of, name) {
      if (name in replaced) return replaced[name as keyof T];
      const value = of[name as keyof T];
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
}
