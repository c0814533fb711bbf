/** `etcdctl member …`. */
import { type Command, ExitError, goQuote, type Invocation } from '@etcd/host/cli';
import { memberId, onlyArgument } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { peerUrls } from '../peer-urls.ts';
import { withClient } from '../session.ts';
import { isSerializable } from './get.ts';

const NO_ID = 'member ID is not provided';

const ADD: Command = {
  name: 'add',
  usage: '<memberName> [options]',
  summary: 'Adds a member to the cluster',
  flags: [
    { name: 'peer-urls', type: 'string', usage: 'where it listens for other members, separated by commas' },
    { name: 'learner', type: 'bool', usage: 'add it as a learner, which has no vote' },
  ],
  run: add,
};

const REMOVE: Command = {
  name: 'remove',
  usage: '<memberID>',
  summary: 'Removes a member from the cluster',
  async run(invocation) {
    const id = memberId(onlyArgument(invocation.args, NO_ID));
    await withClient(invocation, async (client, session) => {
      session.print('memberRemove', { id, response: await client.cluster.memberRemove(id) });
    });
  },
};

const UPDATE: Command = {
  name: 'update',
  usage: '<memberID> [options]',
  summary: 'Changes where a member listens for others',
  flags: [
    { name: 'peer-urls', type: 'string', usage: 'where it listens for other members, separated by commas' },
  ],
  async run(invocation) {
    const id = memberId(onlyArgument(invocation.args, NO_ID));
    const urls = invocation.flags.text('peer-urls');
    if (urls === '') throw new ExitError(EXIT.BAD_ARGS, 'member peer urls not provided');
    await withClient(invocation, async (client, session) => {
      session.print('memberUpdate', { id, response: await client.cluster.memberUpdate(id, peerUrls(urls)) });
    });
  },
};

const LIST: Command = {
  name: 'list',
  usage: '',
  summary: 'Lists the members of the cluster',
  description:
    'Lists the members of the cluster: id, status, name, peer URLs, client URLs, whether it is a learner.',
  flags: [
    {
      name: 'consistency',
      type: 'string',
      default: 'l',
      usage: 'l (linearizable) or s (serializable)',
      values: ['l', 's'],
    },
  ],
  async run(invocation) {
    const serializable = isSerializable(invocation.flags.text('consistency'));
    await withClient(invocation, async (client, session) => {
      session.print('memberList', { response: await client.cluster.memberList({ serializable }) });
    });
  },
};

const PROMOTE: Command = {
  name: 'promote',
  usage: '<memberID>',
  summary: 'Gives a learner its vote',
  async run(invocation) {
    const id = memberId(onlyArgument(invocation.args, NO_ID));
    await withClient(invocation, async (client, session) => {
      session.print('memberPromote', { id, response: await client.cluster.memberPromote(id) });
    });
  },
};

export const MEMBER: Command = {
  name: 'member',
  usage: '<subcommand>',
  summary: 'Commands about the members of the cluster',
  group: GROUP.CLUSTER,
  commands: [ADD, REMOVE, UPDATE, LIST, PROMOTE],
};

async function add(invocation: Invocation): Promise<void> {
  const { flags, args, io } = invocation;
  const [name] = args;
  if (name === undefined) throw new ExitError(EXIT.BAD_ARGS, 'member name not provided');
  if (args.length > 1) {
    const urls = args.filter((argument) => argument.toLowerCase().startsWith('http'));
    const hint = urls.map((url) => `, did you mean --peer-urls=${url}`).join('');
    throw new ExitError(EXIT.BAD_ARGS, `too many arguments${hint}`);
  }
  const urls = flags.text('peer-urls');
  if (urls === '') throw new ExitError(EXIT.BAD_ARGS, 'member peer urls not provided');
  await withClient(invocation, async (client, session) => {
    const response = await client.cluster.memberAdd(peerUrls(urls), {
      isLearner: flags.bool('learner'),
    });
    session.print('memberAdd', { response });
    if (session.format !== 'simple') return;
    const newId = response.member?.id;
    const initialCluster = response.members.flatMap(({ id, name: known, peerUrls: listening }) =>
      listening.map((url) => `${id === newId ? name : known}=${url}`),
    );
    io.line('');
    io.line(`ETCD_NAME=${goQuote(name)}`);
    io.line(`ETCD_INITIAL_CLUSTER=${goQuote(initialCluster.join(','))}`);
    io.line(`ETCD_INITIAL_ADVERTISE_PEER_URLS=${goQuote(urls)}`);
    io.line('ETCD_INITIAL_CLUSTER_STATE="existing"');
  });
}
