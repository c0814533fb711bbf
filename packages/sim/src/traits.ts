/**
 * What a whole world is like, beside the faults that come and go in it: how far its members and machines can be told apart, and how
 * strong the machines are.
 */
import type { SeededRandom } from '@etcd/base';

export interface Traits {
  /** The ids of the founding members end in the same 16 bits, as those of three in 65,536 clusters of three do. */
  readonly hasTwins: boolean;
  /** Members begin to count their requests at nearly the same number, at every start. */
  readonly countsAlike: boolean;
  /** The machines have no battery: at every start of a process their wall clocks begin at the same time again. */
  readonly losesTime: boolean;
  /** Disks may take the bytes of a write as late as it completes. */
  readonly takesBytesLate: boolean;
  /** Whatever a cut of power or a kill leaves, copies of it must start. */
  readonly probesStarts: boolean;
  /** Somebody makes users and roles, and switches authentication on and off. */
  readonly hasUsers: boolean;
  /** Somebody writes and deletes hundreds of keys at a time, so that databases have many pages. */
  readonly hasBulk: boolean;
  /** How much members do at a time, and keep, is drawn as well. */
  readonly drawsSizes: boolean;
  /** Reads, writes and syncs of disks may fail. */
  readonly failsDisks: boolean;
  /** Some watchers want previous pairs, or not everything, or it in pieces, or read slowly. */
  readonly hasWatchStyles: boolean;
  /** Databases may not grow beyond some hundred kilobytes; members raise alarms, and somebody looks after them. */
  readonly hasQuota: boolean;
  /** A client makes large transactions, with others within them. */
  readonly hasLargeTxns: boolean;
  /** A client has leases by the hundred. */
  readonly hasManyLeases: boolean;
  /** Members reach each other through the program's own code, over simulated connections. */
  readonly hasHttpPeers: boolean;
  /** Clocks of machines go at different speeds; pauses may be long, and files stuck. */
  readonly hasDrift: boolean;
  /** All members but one are lost at times, and the last goes on alone. */
  readonly hasDisasters: boolean;
  /** Somebody announces downgrades and calls them off. */
  readonly hasDowngrades: boolean;
  /** All members are lost at times, and a cluster is made of a copy of a database. */
  readonly hasRestores: boolean;
  /** Processes may have no descriptor left: files don't open, and connections are not accepted. */
  readonly lacksDescriptors: boolean;
  /** Members keep to earlier releases of the cluster, until they are started as later ones. */
  readonly hasReleases: boolean;
  /** What a cut of power leaves of the names in a directory has nothing to do with others: no journal keeps them in order. */
  readonly losesNamesApart: boolean;
}

export const ORDINARY: Traits = {
  hasTwins: false,
  countsAlike: false,
  losesTime: false,
  takesBytesLate: false,
  probesStarts: true,
  hasUsers: false,
  hasBulk: false,
  drawsSizes: false,
  failsDisks: false,
  hasWatchStyles: false,
  hasQuota: false,
  hasLargeTxns: false,
  hasManyLeases: false,
  hasHttpPeers: false,
  hasDrift: false,
  hasDisasters: false,
  hasDowngrades: false,
  hasRestores: false,
  lacksDescriptors: false,
  hasReleases: false,
  losesNamesApart: false,
};

/** For worlds that are to be what they were before these came. */
export const WITHOUT_NEWEST = {
  hasQuota: false,
  hasLargeTxns: false,
  hasManyLeases: false,
  hasHttpPeers: false,
  hasDrift: false,
  hasDisasters: false,
  hasDowngrades: false,
  hasRestores: false,
  lacksDescriptors: false,
  hasReleases: false,
  losesNamesApart: false,
} as const satisfies Partial<Traits>;

/**
 * @param later draws what was added later: the rest of a world stays as it was.
 * @param newest likewise.
 * @param latest likewise.
 */
export function drawTraits(
  random: SeededRandom,
  later: SeededRandom,
  newest: SeededRandom,
  latest: SeededRandom,
): Traits {
  // What is worst comes together: only twins that count alike ever meet in one id.
  const areAlike = random.chance(0.4);
  return {
    hasTwins: areAlike || random.chance(0.2),
    countsAlike: areAlike || random.chance(0.2),
    losesTime: random.chance(0.4),
    takesBytesLate: random.chance(0.4),
    probesStarts: random.chance(0.5),
    hasUsers: random.chance(0.4),
    hasBulk: later.chance(0.3),
    drawsSizes: later.chance(0.5),
    failsDisks: later.chance(0.4),
    hasWatchStyles: later.chance(0.5),
    hasQuota: newest.chance(0.25),
    hasLargeTxns: newest.chance(0.4),
    hasManyLeases: newest.chance(0.15),
    hasHttpPeers: newest.chance(0.15),
    hasDrift: newest.chance(0.3),
    hasDisasters: newest.chance(0.15),
    hasDowngrades: newest.chance(0.2),
    hasRestores: latest.chance(0.15),
    lacksDescriptors: latest.chance(0.2),
    hasReleases: latest.chance(0.2),
    losesNamesApart: latest.chance(0.4),
  };
}

/** URLs whose ids, with the token `sim`, end in the same 16 bits: found by trying. */
const TWIN_URLS = [
  'http://10.0.0.1:2380',
  'http://10.11.0.2:4410',
  'http://10.0.0.3:9391',
  'http://10.0.0.4:2715',
  'http://10.4.0.5:4524',
] as const;

/** A machine is reached under two URLs, so that its member can be moved from one to the other. */
export function peerUrlsOf(number: number, { hasTwins }: Traits): string[] {
  const first = hasTwins ? TWIN_URLS[number - 1] : undefined;
  return [first ?? `http://10.0.0.${number}:2380`, `http://10.0.1.${number}:2380`];
}

/** Members that count alike begin within so many requests of each other. */
const ALIKE_SPAN = 16;

export function requestIdStart(random: SeededRandom, { countsAlike }: Traits): number {
  return countsAlike ? random.below(ALIKE_SPAN) : random.uint32();
}
