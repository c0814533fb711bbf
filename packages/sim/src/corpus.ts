/**
 * Bugs that must be found, each with the world that brings about what it takes: those that etcd has published in the README of its robustness
 * tests, and those that this program had. `corpus-document.ts` runs all of them, planted and not.
 */
import type { PLANTS, RARE_PLANTS } from './plant.ts';
import type { SimulationOptions } from './simulation.ts';
import { WITHOUT_NEWEST } from './traits.ts';

export interface Scenario {
  /** In `PLANTS` or in `SOURCE_PLANTS`. */
  readonly plant: string;
  readonly what: string;
  /** etcd's issues that are of this kind; none: it is ours. */
  readonly etcdIssues: readonly number[];
  readonly world: Omit<SimulationOptions, 'seed' | 'plant'>;
  /** The first to be tried. */
  readonly seed: number;
}

type World = Scenario['world'];

const SMALL_SLICES = { rangeKeys: 1, watchRevisions: 1, hashRevisions: 100, restoreRevisions: 20 } as const;

/** Worlds in which it happens all the time, for plants from outside that need something to meet something else. */
export const FOCUS: Readonly<
  Partial<Record<keyof typeof PLANTS, Omit<SimulationOptions, 'seed' | 'plant'>>>
> = {
  // Much is read in turns of one key each, and what is compacted is the newest.
  compactsUnderReaders: {
    minutes: 0.5,
    members: 1,
    faults: [],
    traits: { hasUsers: false, hasBulk: true },
    pace: { slices: SMALL_SLICES, turnMs: 2 },
  },
  // All begin at the same number at once, and each has many requests under way.
  countsRequestsFromTheClock: {
    minutes: 0.5,
    members: 3,
    faults: ['power cut of all', 'kill', 'isolation', 'healed network'],
    traits: { hasUsers: false, hasTwins: true, losesTime: true },
    load: { clients: 4, thinkMs: 50, atOnce: 16 },
  },
  countsVotesTwice: {
    faults: ['isolation', 'one-way isolation', 'partition', 'healed network', 'power cut'],
  },
  findsRequestsById: {
    faults: ['isolation', 'one-way isolation', 'single link cut', 'healed network', 'kill'],
    traits: { hasTwins: true, countsAlike: true },
  },
  // Members that are behind go on reading what they have until the database comes.
  goesOnInTheNewStore: {
    minutes: 1,
    members: 3,
    faults: ['long absence'],
    traits: { hasUsers: false, hasBulk: true },
    limits: { snapshotCount: 5, catchUpEntries: 5 },
    pace: { slices: SMALL_SLICES, turnMs: 5 },
  },
  // What takes long to be agreed upon is under way when users change.
  ignoresAuthRevision: {
    minutes: 1,
    members: 3,
    faults: ['slow disk', 'bad network'],
    traits: { hasUsers: true },
    load: { clients: 4, thinkMs: 50, atOnce: 4 },
  },
  judgesWhenProposing: { traits: { hasUsers: true } },
  recordsSnapshotsBlindly: { faults: ['left behind'], limits: { snapshotCount: 5, catchUpEntries: 5 } },
  trustsWhatItFinds: {
    faults: ['kill at an operation'],
    traits: { probesStarts: true },
    limits: { batchIntervalMs: 20 },
  },
};

const NO_USERS = { ...WITHOUT_NEWEST, hasUsers: false, failsDisks: false };
/** Nothing but what every world has. */
const PLAIN = { ...NO_USERS, hasBulk: false, drawsSizes: false, hasWatchStyles: false };
const BULK: World = {
  minutes: 0.5,
  members: 1,
  faults: [],
  traits: { ...NO_USERS, hasBulk: true, drawsSizes: true, hasWatchStyles: false },
  limits: { batchIntervalMs: 1000 },
};
const WATCHES: World = {
  minutes: 0.5,
  members: 1,
  faults: [],
  traits: { ...NO_USERS, hasBulk: true, drawsSizes: false, hasWatchStyles: true },
};
const KILLS: World = {
  sharesDraws: true,
  minutes: 0.5,
  members: 1,
  faults: ['power cut', 'kill', 'power cut at an operation', 'kill at an operation'],
  traits: { ...NO_USERS, hasBulk: false, drawsSizes: false, hasWatchStyles: false },
};
/** Watchers come back again and again, and find that somebody has compacted meanwhile: they go on at that revision, which is a deletion at times. */
const COMPACTIONS: World = {
  minutes: 0.5,
  members: 1,
  faults: ['kill'],
  traits: { ...NO_USERS, hasBulk: false, drawsSizes: false, hasWatchStyles: true },
  load: { clients: 4, thinkMs: 50 },
};
const LEFT_BEHIND: World = {
  sharesDraws: true,
  minutes: 1,
  members: 3,
  faults: ['left behind', 'long absence'],
  traits: { ...NO_USERS, hasBulk: false, drawsSizes: false, hasWatchStyles: false },
  limits: { snapshotCount: 5, catchUpEntries: 5 },
};

/** Of a plant from outside, as in the test of them. */
function focused(plant: keyof typeof PLANTS): World {
  const { traits, ...rest } = FOCUS[plant] ?? {};
  return { minutes: 2, sharesDraws: true, ...rest, traits: { ...PLAIN, ...traits } };
}

/** All is lost again and again, and begins anew from a copy. */
const RESTORES: World = {
  minutes: 1,
  members: 3,
  faults: [],
  traits: { ...PLAIN, hasRestores: true },
};
const RELEASES: World = {
  minutes: 1,
  members: 3,
  faults: ['kill', 'stop'],
  traits: { ...PLAIN, hasReleases: true },
};

/** Databases that come while others are being taken over, which takes many turns. */
const DATABASES: World = {
  sharesDraws: true,
  minutes: 2,
  members: 3,
  faults: ['left behind', 'isolation', 'healed network'],
  traits: { ...PLAIN, hasBulk: true },
  limits: { snapshotCount: 5, catchUpEntries: 5 },
  pace: {
    slices: { rangeKeys: 5, watchRevisions: 10, hashRevisions: 100, restoreRevisions: 1 },
    turnMs: 20,
  },
};

function scenario(
  plant: string,
  etcdIssues: readonly number[],
  what: string,
  world: World,
  seed = 1,
): Scenario {
  return { plant, what, etcdIssues, world, seed };
}

export const CORPUS: readonly Scenario[] = [
  scenario('savesIndexAhead', [13766, 14685], 'the database says that it has what it does not have', KILLS),
  scenario(
    'acknowledgesBeforeSync',
    [14370],
    'a single member acknowledges a write before its log is synced',
    KILLS,
  ),
  scenario('keepsOldUsers', [14571], "users and roles stay what they were when the leader's database comes", {
    ...LEFT_BEHIND,
    minutes: 2,
    traits: { ...LEFT_BEHIND.traits, hasUsers: true },
  }),
  scenario('tellsProgressEarly', [15220], 'progress is told before the events up to there', WATCHES),
  scenario(
    'watchersGoBack',
    [15271],
    "watchers go back in time when the leader's database comes",
    LEFT_BEHIND,
  ),
  scenario('tellsTwice', [17247], 'events are told twice', WATCHES),
  scenario('starvedStreamsLose', [17529], 'events are lost while a stream is full', WATCHES),
  scenario(
    'revisionGoesBack',
    [17780],
    'after a compaction and a start the revision is a former one',
    COMPACTIONS,
  ),
  scenario(
    'dropsTombstones',
    [18089, 19179],
    'a deletion at the revision of a compaction is not told',
    COMPACTIONS,
  ),
  scenario('tellsProgressOfFuture', [20221], 'a watcher of the future is told of progress', WATCHES),
  scenario('tellsEventsOfPast', [20221], 'a watcher of the future is told of the past', WATCHES),
  scenario('readsWithoutAsking', [20418], 'a leader that has been paused answers reads by itself', {
    sharesDraws: true,
    minutes: 2,
    traits: { ...NO_USERS, hasBulk: false, drawsSizes: false, hasWatchStyles: false },
  }),
  scenario(
    'takesTwoDatabases',
    [18055],
    "a leader's second database comes while the first is taken over",
    DATABASES,
  ),
  scenario(
    'readsCompactedInTxn',
    [18667],
    'a transaction that reads what is compacted is done by some members',
    {
      minutes: 0.5,
      members: 3,
      faults: [],
      traits: { ...PLAIN, hasLargeTxns: true },
    },
  ),
  scenario('namesPagesEarly', [20271], 'a page of the database is not the one that it should be', KILLS),
  scenario('refusesByOwnSize', [], 'each member refuses what it has no room for', {
    minutes: 0.5,
    members: 3,
    faults: [],
    traits: { ...PLAIN, hasQuota: true },
  }),
  scenario('keepsOldAlarms', [], "alarms stay what they were when the leader's database comes", {
    ...LEFT_BEHIND,
    minutes: 2,
    traits: { ...PLAIN, hasQuota: true },
  }),
  scenario('dropsCommittedTail', [], 'a member that goes on alone leaves out what was committed', {
    minutes: 1,
    members: 3,
    faults: [],
    traits: { ...PLAIN, hasDisasters: true },
  }),
  scenario('forgetsViews', [], 'reads that are done hold what they have read', {
    minutes: 0.3,
    members: 1,
    faults: [],
    traits: PLAIN,
    pace: {
      slices: { rangeKeys: 1, watchRevisions: 10, hashRevisions: 100, restoreRevisions: 20 },
      turnMs: 2,
    },
  }),
  scenario('keepsUsedMemory', [], 'what came from another member lies in memory that is used again', {
    minutes: 0.5,
    members: 3,
    faults: [],
    traits: { ...PLAIN, hasHttpPeers: true },
  }),
  scenario(
    'judgesWhenProposing',
    [],
    'members come to different verdicts on who may do what',
    focused('judgesWhenProposing'),
  ),
  scenario(
    'ignoresAuthRevision',
    [],
    'an entry is judged by what its user may do later',
    focused('ignoresAuthRevision'),
  ),
  scenario(
    'findsRequestsById',
    [],
    'an answer goes to the request of another member',
    focused('findsRequestsById'),
  ),
  scenario(
    'countsRequestsFromTheClock',
    [],
    'an answer goes to a request of a former run',
    focused('countsRequestsFromTheClock'),
  ),
  scenario(
    'recordsSnapshotsBlindly',
    [],
    "a member's own snapshot is recorded behind a newer one",
    focused('recordsSnapshotsBlindly'),
  ),
  scenario('trustsWhatItFinds', [], 'a start takes what it finds for durable', focused('trustsWhatItFinds')),
  scenario(
    'compactsUnderReaders',
    [],
    'a compaction removes what is being read',
    focused('compactsUnderReaders'),
  ),
  scenario(
    'goesOnInTheNewStore',
    [],
    "a read goes on in the store that the leader's database has brought",
    focused('goesOnInTheNewStore'),
  ),
  scenario('countsVotesTwice', [], 'a minority elects', focused('countsVotesTwice')),
  scenario('forgetsEvents', [], 'now and then events are not told', focused('forgetsEvents')),
  scenario('forgetsLeasesInLine', [], 'of leases that end together some are never ended', {
    minutes: 0.5,
    members: 3,
    faults: [],
    traits: { ...PLAIN, hasManyLeases: true },
  }),
  scenario('losesSecondCompletion', [], 'of two writes that complete at one moment one never does', {
    minutes: 0.5,
    members: 3,
    faults: ['stuck file'],
    traits: { ...PLAIN, hasDrift: true },
    // The database is always being written, and the log as well.
    limits: { batchIntervalMs: 1 },
    load: { clients: 4, thinkMs: 50, atOnce: 4 },
  }),
  scenario('forgetsDowngrades', [], 'a downgrade is forgotten by the next start', {
    ...RELEASES,
    traits: { ...PLAIN, hasDowngrades: true },
  }),
  scenario(
    'followsOnlyOnce',
    [],
    'a database stays behind when its cluster is raised to a later release',
    RELEASES,
  ),
  scenario(
    'bumpsWithoutTelling',
    [],
    'watchers of a cluster that was restored are not told that the past is gone',
    RESTORES,
  ),
  scenario('keepsIndexOfCopy', [], 'a restored cluster leaves out what its log begins with', RESTORES),
  scenario('breaksWhatItCanNotOpen', [], 'a snapshot that can not be opened is thrown away', {
    minutes: 1,
    members: 3,
    faults: ['no descriptors', 'kill'],
    traits: { ...PLAIN, lacksDescriptors: true },
    limits: { snapshotCount: 5, catchUpEntries: 5 },
  }),
  scenario(
    'emptyLeavesWritten',
    [],
    'a defragmentation beside a compaction wrote leaves without keys',
    BULK,
    8,
  ),
];

/** Bugs that need more luck than a few worlds have: each has a test that brings about what it takes, planted and not. */
export const OWN_TESTS: readonly {
  readonly plant: keyof typeof RARE_PLANTS;
  readonly what: string;
  readonly etcdIssues: readonly number[];
  /** In this directory. */
  readonly test: string;
}[] = [
  {
    plant: 'readsByLease',
    what: 'a leader answers by itself as long as its clock says that nobody else can lead; clocks drift',
    etcdIssues: [],
    test: 'drift.test.ts',
  },
  {
    plant: 'losesCheckpoints',
    what: 'what a lease had left is forgotten with its leader',
    etcdIssues: [13491],
    test: 'lease-checkpoints.test.ts',
  },
  {
    plant: 'proposesMeanwhile',
    what: 'what is proposed while the leadership is handed over is lost',
    etcdIssues: [],
    test: 'slow-disk.test.ts',
  },
  {
    plant: 'renewsWithoutAsking',
    what: 'a leader that has been paused ends leases that its successor has prolonged',
    etcdIssues: [15247],
    test: 'succession.test.ts',
  },
];
