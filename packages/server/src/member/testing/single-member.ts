/** A whole member alone in its cluster, without sockets, for tests: production code on a simulated clock and disk. */
import type { InternalError } from '@etcd/api';
import { NO_IDENTITY } from '@etcd/storage/auth';
import type { SimDisk } from '@etcd/testing';
import { Authentication } from '../../auth/index.ts';
import { BootWorld } from '../../boot/testing/boot-world.ts';
import type { Kind, RequestOf, ResultOf } from '../../request/index.ts';
import { EtcdServer } from '../etcd-server.ts';

export class SingleMember {
  readonly world: BootWorld;
  readonly server: EtcdServer;
  readonly fatal: Error[];
  isReady = false;

  private constructor(world: BootWorld, parts: Awaited<ReturnType<BootWorld['boot']>>) {
    this.world = world;
    this.fatal = world.backendFailures;
    const { config, clock, logger } = world;
    this.server = new EtcdServer({
      ...world,
      parts,
      requestIdStart: 1,
      authentication: new Authentication({
        ...config,
        clock,
        logger,
        secret: (count) => new Uint8Array(count),
        bcrypt: {
          hashThen: (_password, _cost, done) => done(null, ''),
          compareThen: (_password, _hash, done) => done(null, false),
          hashNow: () => '',
          stop: () => {},
        },
      }),
      onTurnEnd: () => {},
      onReady: () => {
        this.isReady = true;
      },
      onFatal: (error) => this.fatal.push(error),
      onRemoved: () => {},
    });
  }

  /** Starts it, and waits until it is ready. */
  static async start(flags: readonly string[] = [], disk: SimDisk | null = null): Promise<SingleMember> {
    const world = await BootWorld.create(flags, disk);
    const member = new SingleMember(world, await world.boot());
    member.server.start();
    world.clock.advanceUntil(() => member.isReady || member.fatal.length > 0, 60_000);
    return member;
  }

  /** Proposes, and waits for what comes of it. */
  ask<K extends Kind>(kind: K, request: RequestOf<K>): ResultOf<K> | InternalError | null {
    let outcome: ResultOf<K> | InternalError | null = null;
    this.server.proposals.propose(kind, request, NO_IDENTITY, {
      kind,
      request: null,
      onApplied: (result: ResultOf<K>) => {
        outcome = result;
      },
      onFailed: (error) => {
        outcome = error;
      },
    });
    this.world.clock.advanceUntil(() => outcome !== null, 60_000);
    return outcome;
  }

  /** An orderly end; true when everything is closed. */
  stop(): boolean {
    let isStopped = false;
    this.server.stopThen(() => {
      isStopped = true;
    });
    this.world.clock.advanceUntil(() => isStopped, 60_000);
    return isStopped;
  }
}
