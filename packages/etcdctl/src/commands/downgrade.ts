/** `etcdctl downgrade …`. */
import type { DowngradeStep } from '@etcd/client';
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';

const VALIDATE: Command = {
  name: 'validate',
  usage: '<TARGET_VERSION>',
  summary: 'Says whether the cluster can go down to a version',
  run: (invocation) => downgrade(invocation, 'validate', targetVersion(invocation)),
};

const ENABLE: Command = {
  name: 'enable',
  usage: '<TARGET_VERSION>',
  summary: 'Lets members of a lower version in',
  run: (invocation) => downgrade(invocation, 'enable', targetVersion(invocation)),
};

const CANCEL: Command = {
  name: 'cancel',
  usage: '',
  summary: 'Gives a downgrade up',
  run: (invocation) => downgrade(invocation, 'cancel', ''),
};

export const DOWNGRADE: Command = {
  name: 'downgrade',
  usage: '<TARGET_VERSION>',
  summary: 'Commands about going down to a lower version',
  group: GROUP.CLUSTER,
  commands: [VALIDATE, ENABLE, CANCEL],
};

function targetVersion({ args }: Invocation): string {
  const [version] = args;
  if (version === undefined) throw new ExitError(EXIT.BAD_ARGS, 'TARGET_VERSION not provided');
  if (args.length > 1) throw new ExitError(EXIT.BAD_ARGS, 'too many arguments');
  if (version === '') throw new ExitError(EXIT.BAD_ARGS, 'target version not provided');
  return version;
}

async function downgrade(invocation: Invocation, step: DowngradeStep, version: string): Promise<void> {
  await withClient(invocation, async (client, session) => {
    session.print('downgrade', { step, response: await client.maintenance.downgrade(step, version) });
  });
}
