/** `etcdctl alarm …`. */
import type { Command } from '@etcd/host/cli';
import { noArguments } from '../arguments.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';

const DISARM: Command = {
  name: 'disarm',
  usage: '',
  summary: 'Ends all alarms',
  async run(invocation) {
    noArguments(invocation.args, 'alarm disarm command accepts no arguments');
    await withClient(invocation, async (client, session) => {
      session.print('alarm', { response: await client.maintenance.alarmDisarmAll() });
    });
  },
};

const LIST: Command = {
  name: 'list',
  usage: '',
  summary: 'Lists all alarms',
  async run(invocation) {
    noArguments(invocation.args, 'alarm list command accepts no arguments');
    await withClient(invocation, async (client, session) => {
      session.print('alarm', { response: await client.maintenance.alarmList() });
    });
  },
};

export const ALARM: Command = {
  name: 'alarm',
  usage: '<subcommand>',
  summary: 'Commands about alarms',
  group: GROUP.CLUSTER,
  commands: [DISARM, LIST],
};
