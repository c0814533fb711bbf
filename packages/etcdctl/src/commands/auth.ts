/** `etcdctl auth …`. */
import { type EtcdClient, isError, RPC_ERRORS } from '@etcd/client';
import type { Command } from '@etcd/host/cli';
import { noArguments } from '../arguments.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';

const ROOT = 'root';

const ENABLE: Command = {
  name: 'enable',
  usage: '',
  summary: 'Lets only users in from now on',
  async run(invocation) {
    noArguments(invocation.args, 'auth enable command does not accept any arguments');
    await withClient(invocation, async (client) => {
      await enable(client);
      invocation.io.line('Authentication Enabled');
    });
  },
};

const DISABLE: Command = {
  name: 'disable',
  usage: '',
  summary: 'Lets everybody in from now on',
  async run(invocation) {
    noArguments(invocation.args, 'auth disable command does not accept any arguments');
    await withClient(invocation, async (client) => {
      await client.auth.disable();
      invocation.io.line('Authentication Disabled');
    });
  },
};

const STATUS: Command = {
  name: 'status',
  usage: '',
  summary: 'Says whether only users are let in',
  async run(invocation) {
    noArguments(invocation.args, 'auth status command does not accept any arguments');
    await withClient(invocation, async (client, session) => {
      session.print('authStatus', { response: await client.auth.status() });
    });
  },
};

export const AUTH: Command = {
  name: 'auth',
  usage: '<enable or disable>',
  summary: 'Commands about whether users matter',
  group: GROUP.AUTH,
  commands: [ENABLE, DISABLE, STATUS],
};

/** The user root needs the role root; who has not given it gets it now. */
async function enable(client: EtcdClient): Promise<void> {
  try {
    await client.auth.enable();
  } catch (error) {
    if (!isError(error, RPC_ERRORS.ErrGRPCRootRoleNotExist)) throw error;
    await client.auth.roleAdd(ROOT);
    await client.auth.userGrantRole(ROOT, ROOT);
    await client.auth.enable();
  }
}
