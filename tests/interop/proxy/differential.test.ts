/** Random operations through our proxy get the answers that real etcd gives without one: before our member, and before one of Go. */
import { afterEach, test } from 'node:test';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { endProxies } from '../../support/proxy.ts';
import { compare, startBoth } from '../differential/comparison.ts';
import { Replica } from '../differential/replica.ts';

const GO = peer('3.7', 'etcd');

afterEach(endProxies);
/** Clients that ask for the members are told of them, not of the proxy. */
const MEMBERS = '--advertise-client-url=';
/** So that it is the member that refuses what is too large. */
const SIZES = '--max-send-bytes=10485760';

for (const [what, program, flags] of [
  ['our member', SUBJECT, [MEMBERS, SIZES]],
  ['a member of Go', GO, [MEMBERS, SIZES]],
] as const) {
  test(
    `random operations through a proxy before ${what} get the answers of etcd 3.7`,
    needs('etcd 3.7'),
    async (t) =>
      compare(
        await startBoth(
          () => Replica.startProxied(program, flags),
          () => Replica.start(GO),
        ),
        t,
        { heardHeaders: false },
      ),
  );
}
