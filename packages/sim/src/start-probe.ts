/**
 * Whether a member could start from what is on its disk at this moment, or from what a cut of power would leave of it: the start is tried
 * on copies, of which the world sees nothing.
 */
import { type SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { BoltError } from '@etcd/bbolt';
import { bootstrap, type Config, MemberStartError, Metrics } from '@etcd/server';
import type { SimDisk } from '@etcd/testing';
import { describeError } from './describe-error.ts';
import { SimProcess } from './process.ts';
import { SimNetwork } from './sim-network.ts';
import type { World } from './world.ts';

export interface Probe {
  readonly world: World;
  readonly name: string;
  readonly config: Config;
  readonly disk: SimDisk;
  readonly segmentBytes: number;
  readonly random: SeededRandom;
  /** What is on the disk has been changed: the member may refuse to start, or end, as long as it says why. */
  readonly isDamaged?: boolean;
}

/** Resolves when it is known; a member that would not start is a violation. */
export async function probeStart(probe: Probe): Promise<void> {
  const { world, name, config, disk, segmentBytes, random, isDamaged = false } = probe;
  const process = new SimProcess({
    clock: world.clock,
    originMs: 0,
    wallOffsetMs: () => 0,
    waitMs: () => 0,
    turnMs: 0,
    onError: (error) => world.violate('restart', `a copy of ${name} failed: ${describeError(error)}`),
  });
  try {
    const { backend, wal } = await bootstrap({
      listMembers: null,
      discover: null,
      config,
      clock: process,
      disk: world.diskFor(disk),
      random,
      logger: SILENT_LOGGER,
      metrics: new Metrics({ detail: config.metrics, featureGates: config.featureGates }).handles,
      walSegmentBytes: segmentBytes,
      resolveHost: (host) => Promise.resolve(host),
      onBackendFatal: (error) => {
        if (!isDamaged) world.violate('restart', `a copy of ${name} failed: ${describeError(error)}`);
      },
      network: new SimNetwork({
        fabric: world.fabric,
        process,
        name: `copy of ${name}`,
        urls: [],
        hear: (message) => [message],
      }),
    });
    wal.close();
    backend.close();
  } catch (error) {
    if (isDamaged && (error instanceof MemberStartError || error instanceof BoltError)) return;
    world.violate('restart', `a copy of ${name} does not start: ${describeError(error)}`);
  } finally {
    process.end();
  }
}
