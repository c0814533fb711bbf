/**
 * Three members on a busy machine, one after the other of which is killed and comes back: what clients get done meanwhile, and which
 * errors they see. Nothing that was acknowledged may be gone afterwards.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  decodeRangeResponse,
  encodePutRequest,
  encodeRangeRequest,
  PutRequest,
  RangeRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode, SeededRandom } from '@etcd/base';
import type { GrpcChannel } from '@etcd/transport';
import { type BenchCase, perSecond, type Sample } from '../case.ts';
import { callOnce, openChannel } from '../load/connect.ts';
import { PUT, RANGE } from '../load/request-source.ts';
import { Cluster, memberStatus } from '../subject/cluster.ts';
import type { EtcdProcess } from '../subject/etcd-process.ts';

const MEMBERS = 3;
const CLIENTS = 16;
const STORM_MS = 30_000;
const QUICK_STORM_MS = 3_000;
const PUT_TIMEOUT_MS = 5_000;
/** From one kill to the next at least, and how much more at most. */
const KILL_EVERY_MS = 1_200;
const KILL_SPREAD_MS = 1_600;
const DOWN_MS = 400;
/** Processes that do nothing but take processors away. */
const BURNERS = 2;
const RETRY_MS = 5;
const SETTLE_TIMEOUT_MS = 60_000;

/** Errors that don't tell a client what it may do. */
const USELESS: ReadonlySet<number> = new Set([GrpcCode.Unknown, GrpcCode.Internal]);

interface Counts {
  acknowledged: number;
  failed: number;
  useless: number;
  longestGapMs: number;
}

/** Writes numbers to a key of its own, one after the other, through whichever member answers. */
class StormClient {
  readonly #cluster: Cluster;
  readonly #key: Buffer;
  readonly #counts: Counts;
  #at: number;
  #channel: GrpcChannel | null = null;
  #next = 1;
  #acknowledged = 0;

  constructor(cluster: Cluster, number: number, counts: Counts) {
    this.#cluster = cluster;
    this.#key = Buffer.from(`/storm/${number}`);
    this.#counts = counts;
    this.#at = number;
  }

  async run(untilMs: number): Promise<void> {
    let lastMs = performance.now();
    while (performance.now() < untilMs) {
      const channel = await this.#connected();
      if (channel === null) continue;
      const number = this.#next++;
      const code = await this.#put(channel, number);
      if (code === GrpcCode.OK) {
        this.#acknowledged = number;
        this.#counts.acknowledged++;
        const nowMs = performance.now();
        this.#counts.longestGapMs = Math.max(this.#counts.longestGapMs, nowMs - lastMs);
        lastMs = nowMs;
        continue;
      }
      this.#counts.failed++;
      if (USELESS.has(code)) this.#counts.useless++;
      this.#leave();
    }
    this.#leave();
  }

  /** Throws if what was acknowledged last is not there, nor anything later. */
  async verify(): Promise<void> {
    const channel = await openChannel(this.#cluster.members[0]!.target);
    const request = encodeRangeRequest(new RangeRequest({ key: this.#key }));
    const { kvs } = decodeRangeResponse(await callOnce(channel, RANGE, request, SETTLE_TIMEOUT_MS));
    channel.close();
    const found = Number(Buffer.from(kvs[0]?.value ?? []).toString() || 0);
    if (found < this.#acknowledged) {
      throw new Error(`${this.#key}: ${this.#acknowledged} was acknowledged, ${found} is there`);
    }
  }

  #put(channel: GrpcChannel, number: number): Promise<number> {
    const request = encodePutRequest(new PutRequest({ key: this.#key, value: Buffer.from(`${number}`) }));
    return new Promise((resolve) => {
      channel.unary(PUT, request, (code) => resolve(code), { timeoutMs: PUT_TIMEOUT_MS });
    });
  }

  async #connected(): Promise<GrpcChannel | null> {
    if (this.#channel?.isOpen === true) return this.#channel;
    this.#leave();
    try {
      this.#channel = await openChannel(this.#cluster.targets[this.#at % MEMBERS]!);
    } catch {
      this.#at++;
      await sleep(RETRY_MS);
    }
    return this.#channel;
  }

  #leave(): void {
    this.#channel?.close();
    this.#channel = null;
    this.#at++;
  }
}

async function leaderOf(cluster: Cluster): Promise<EtcdProcess | null> {
  const statuses = await Promise.allSettled(cluster.members.map(memberStatus));
  const at = statuses.findIndex((status) => status.status === 'fulfilled' && status.value.isLeader);
  return cluster.members[at] ?? null;
}

/**
 * Kills the leader every other time, else anybody. The order is the same for both programs; nobody is killed before the last one is back, so
 * that two can always decide. Returns how long each took to come back.
 */
async function killOneAfterTheOther(cluster: Cluster, untilMs: number): Promise<number[]> {
  const random = new SeededRandom(1);
  const backMs: number[] = [];
  for (let i = 0; performance.now() < untilMs; i++) {
    await sleep(KILL_EVERY_MS + random.below(KILL_SPREAD_MS));
    const anybody = cluster.members[random.below(MEMBERS)]!;
    const victim = i % 2 === 0 ? ((await leaderOf(cluster)) ?? anybody) : anybody;
    await victim.stop('SIGKILL');
    await sleep(DOWN_MS);
    const startMs = performance.now();
    victim.relaunch();
    await victim.answers();
    backMs.push(performance.now() - startMs);
  }
  return backMs.sort((a, b) => a - b);
}

async function storm(cluster: Cluster, durationMs: number): Promise<Sample> {
  const counts: Counts = { acknowledged: 0, failed: 0, useless: 0, longestGapMs: 0 };
  const clients = Array.from({ length: CLIENTS }, (_, i) => new StormClient(cluster, i, counts));
  const untilMs = performance.now() + durationMs;
  const writing = clients.map((client) => client.run(untilMs));
  const backMs = await killOneAfterTheOther(cluster, untilMs);
  await Promise.all(writing);
  for (const client of clients) await client.verify();
  const { acknowledged, failed, useless, longestGapMs } = counts;
  const back = backMs[backMs.length >> 1] ?? 0;
  const kills = backMs.length;
  return { rate: perSecond(acknowledged, durationMs), failed, useless, gap: longestGapMs, kills, back };
}

function burn(): ChildProcess[] {
  return Array.from({ length: BURNERS }, () =>
    spawn(process.execPath, ['--eval', 'for (;;) {}'], { stdio: 'ignore' }),
  );
}

export const killStorm: BenchCase = {
  name: 'kill-storm',
  about:
    'three members beside two busy processes, killed one after the other: puts of 16 clients, one at a time each',
  isLong: true,
  isFresh: true,
  rows: [
    { figure: 'rate', label: 'acknowledged puts per second', unit: 'per s', goal: { ratioAtLeast: 1 } },
    { figure: 'failed', label: 'puts that failed', unit: '×' },
    { figure: 'useless', label: 'of them with Unknown or Internal', unit: '×', goal: { atMost: 0 } },
    { figure: 'kills', label: 'members killed', unit: '×' },
    { figure: 'back', label: 'median time until a killed member answers', unit: 'ms' },
    {
      figure: 'gap',
      label: 'longest time of a client without an acknowledgement',
      unit: 'ms',
      goal: { ratioAtMost: 1 },
    },
  ],
  open: async ({ program, isQuick }) => {
    const cluster = await Cluster.start(program, MEMBERS);
    const burners = burn();
    const stopBurning = (): void => {
      for (const burner of burners) burner.kill('SIGKILL');
    };
    process.once('exit', stopBurning);
    return {
      round: () => storm(cluster, isQuick ? QUICK_STORM_MS : STORM_MS),
      close: async () => {
        stopBurning();
        process.off('exit', stopBurning);
        await cluster.dispose();
      },
    };
  },
};
