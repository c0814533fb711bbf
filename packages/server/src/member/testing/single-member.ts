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
  /** How often it was told that it does not belong to its cluster any more. */
  removedCount = 0;

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
      onRemoved: () => this.removedCount++,
    });
  }

  /** Starts it, and waits until it is ready. */
  static async start(flags: readonly string[] = [], disk: SimDisk | null = null): Promise<SingleMember> {
    const world = await BootWorld.create(flags, disk);
    const member = await SingleMember.startIn(world);
    world.clock.advanceUntil(() => member.isReady || member.fatal.length > 0, 60_000);
    return member;
  }

  /** Starts it, in a world that the test has prepared. */
  static async startIn(world: BootWorld): Promise<SingleMember> {
    const member = new SingleMember(world, await world.boot());
    member.server.start();
    return member;
  }

  /** Proposes, and waits for what comes of it. */
  ask<K extends Kind>(kind: K, request: RequestOf<K>): ResultOf<K> | InternalError | null {
    const outcomes = this.propose(kind, request);
    this.world.clock.advanceUntil(() => outcomes.length > 0, 60_000);
    return outcomes[0] ?? null;
  }

  /** Proposes; what comes of it will be in the list. */
  propose<K extends Kind>(kind: K, request: RequestOf<K>): (ResultOf<K> | InternalError)[] {
    const outcomes: (ResultOf<K> | InternalError)[] = [];
    this.server.proposals.propose(kind, request, NO_IDENTITY, {
      kind,
      request: null,
      onApplied: (result: ResultOf<K>) => outcomes.push(result),
      onFailed: (error) => outcomes.push(error),
    });
    return outcomes;
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
