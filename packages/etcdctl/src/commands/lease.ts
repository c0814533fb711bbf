/** `etcdctl lease …`. */
import type { Command, Invocation } from '@etcd/host/cli';
import { ExitError } from '@etcd/host/cli';
import { decimal, leaseId, onlyArgument } from '../arguments.ts';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { wideId } from '../printers/simple.ts';
import { withClient } from '../session.ts';

const GRANT: Command = {
  name: 'grant',
  usage: '<ttl>',
  summary: 'Makes a lease that lives so many seconds',
  async run(invocation) {
    const argument = onlyArgument(invocation.args, 'lease grant command needs TTL argument');
    const ttl = decimal(argument, (problem) => `bad TTL (${problem})`);
    await withClient(invocation, async (client, session) => {
      const response = await client.leases.grant(ttl).catch(failure('failed to grant lease'));
      session.print('leaseGrant', { response });
    });
  },
};

const REVOKE: Command = {
  name: 'revoke',
  usage: '<leaseID>',
  summary: 'Ends a lease, and deletes the keys that are attached to it',
  async run(invocation) {
    const id = leaseId(onlyArgument(invocation.args, 'lease revoke command needs 1 argument'));
    await withClient(invocation, async (client, session) => {
      const response = await client.leases.revoke(id).catch(failure('failed to revoke lease'));
      session.print('leaseRevoke', { id, response });
    });
  },
};

const TIME_TO_LIVE: Command = {
  name: 'timetolive',
  usage: '<leaseID> [options]',
  summary: 'Prints how long a lease has left',
  flags: [{ name: 'keys', type: 'bool', usage: 'print the keys that are attached to it, too' }],
  async run(invocation) {
    const argument = onlyArgument(invocation.args, 'lease timetolive command needs lease ID as argument');
    const withKeys = invocation.flags.bool('keys');
    await withClient(
      invocation,
      async (client, session) => {
        const response = await client.leases.timeToLive(leaseId(argument), { keys: withKeys });
        session.print('leaseTimeToLive', { response, withKeys });
      },
      EXIT.BAD_CONNECTION,
    );
  },
};

const LIST: Command = {
  name: 'list',
  usage: '',
  summary: 'Lists all leases',
  run: (invocation) =>
    withClient(
      invocation,
      async (client, session) => session.print('leaseList', { response: await client.leases.list() }),
      EXIT.BAD_CONNECTION,
    ),
};

const KEEP_ALIVE: Command = {
  name: 'keep-alive',
  usage: '[options] <leaseID>',
  summary: 'Keeps a lease alive',
  flags: [{ name: 'once', type: 'bool', usage: 'only once, instead of until the lease ends' }],
  run: keepAlive,
};

export const LEASE: Command = {
  name: 'lease',
  usage: '<subcommand>',
  summary: 'Commands about leases',
  group: GROUP.KEYS,
  commands: [GRANT, REVOKE, TIME_TO_LIVE, LIST, KEEP_ALIVE],
};

async function keepAlive(invocation: Invocation): Promise<void> {
  const id = leaseId(onlyArgument(invocation.args, 'lease keep-alive command needs lease ID as argument'));
  await withClient(
    invocation,
    async (client, session) => {
      if (invocation.flags.bool('once')) {
        session.print('leaseKeepAlive', { response: await client.leases.keepAliveOnce(id) });
        return;
      }
      const lease = client.leases.keep(id);
      lease.onKeepAlive((response) => session.print('leaseKeepAlive', { response }));
      await new Promise((resolve) => lease.signal.addEventListener('abort', resolve));
      if (session.format === 'simple') invocation.io.line(`lease ${wideId(id)} expired or revoked.`);
    },
    EXIT.BAD_CONNECTION,
  );
}

function failure(what: string): (error: unknown) => never {
  return (error) => {
    throw new ExitError(EXIT.ERROR, `${what} (${describeError(error)})`);
  };
}
