/** The program under test beside real etcd 3.5 and 3.7: what each of them makes of the same is compared. */
import { after, before } from 'node:test';
import { EtcdServer, FAST_ELECTION } from './etcd-server.ts';
import { needs, peer, SUBJECT } from './programs.ts';

const JUDGES = ['3.5', '3.7'] as const;

export type SideName = 'ours' | (typeof JUDGES)[number];

/** Options of a test that compares all of them. */
export const NEEDS_ALL_SIDES = needs('etcd 3.5', 'etcd 3.7');

/** Names and programs, ours first. A judge that is missing is left out where the tests that need it are skipped. */
export const SIDES: readonly (readonly [SideName, string])[] = [
  ['ours', SUBJECT],
  ...JUDGES.filter((release) => needs(`etcd ${release}`).skip === undefined).map(
    (release) => [release, peer(release, 'etcd')] as const,
  ),
];

/** A server of each side for all tests of a file, by name: there from before the first of them until after the last. */
export function serveEachSide(
  prepare: (server: EtcdServer) => Promise<void> = async () => {},
  flags: readonly string[] = [],
): ReadonlyMap<SideName, EtcdServer> {
  const servers = new Map<SideName, EtcdServer>();
  before(async () => {
    for (const [name, program] of SIDES) {
      const server = await EtcdServer.start({ program, flags: [...FAST_ELECTION, ...flags] });
      servers.set(name, server);
      await prepare(server);
    }
  });
  after(() => Promise.all([...servers.values()].map((server) => server.kill())));
  return servers;
}
