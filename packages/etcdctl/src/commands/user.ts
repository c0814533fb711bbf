/** `etcdctl user …`. */
import { askSecret, type Command, ExitError, type Invocation, type Io } from '@etcd/host/cli';
import { noArguments, onlyArgument } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';

const ADD: Command = {
  name: 'add',
  usage: '<user name or user:password> [options]',
  summary: 'Adds a user',
  flags: [
    {
      name: 'interactive',
      type: 'bool',
      default: 'true',
      usage: 'ask for the password; else it is read from standard input',
    },
    { name: 'new-user-password', type: 'string', usage: 'the password' },
    { name: 'no-password', type: 'bool', usage: 'without a password: the user comes with a certificate' },
  ],
  run: add,
};

const DELETE: Command = {
  name: 'delete',
  usage: '<user name>',
  summary: 'Deletes a user',
  async run(invocation) {
    const user = onlyArgument(invocation.args, 'user delete command requires user name as its argument');
    await withClient(invocation, async (client, session) => {
      session.print('userDelete', { user, response: await client.auth.userDelete(user) });
    });
  },
};

const GET: Command = {
  name: 'get',
  usage: '<user name> [options]',
  summary: 'Prints the roles of a user',
  flags: [{ name: 'detail', type: 'bool', usage: 'print what the roles may do, too' }],
  run: get,
};

const LIST: Command = {
  name: 'list',
  usage: '',
  summary: 'Lists all users',
  async run(invocation) {
    noArguments(invocation.args, 'user list command requires no arguments');
    await withClient(invocation, async (client, session) => {
      session.print('userList', { response: await client.auth.userList() });
    });
  },
};

const PASSWD: Command = {
  name: 'passwd',
  usage: '<user name> [options]',
  summary: 'Changes the password of a user',
  flags: [
    {
      name: 'interactive',
      type: 'bool',
      default: 'true',
      usage: 'ask for the password; else it is read from standard input',
    },
  ],
  async run(invocation) {
    const user = onlyArgument(invocation.args, 'user passwd command requires user name as its argument');
    const password = await newPassword(invocation, user);
    await withClient(invocation, async (client, session) => {
      session.print('userChangePassword', { response: await client.auth.userChangePassword(user, password) });
    });
  },
};

const GRANT: Command = {
  name: 'grant-role',
  usage: '<user name> <role name>',
  summary: 'Gives a role to a user',
  async run(invocation) {
    const { user, role } = userAndRole(
      invocation,
      'user grant command requires user name and role name as its argument',
    );
    await withClient(invocation, async (client, session) => {
      session.print('userGrantRole', { user, role, response: await client.auth.userGrantRole(user, role) });
    });
  },
};

const REVOKE: Command = {
  name: 'revoke-role',
  usage: '<user name> <role name>',
  summary: 'Takes a role from a user',
  async run(invocation) {
    const { user, role } = userAndRole(
      invocation,
      'user revoke-role requires user name and role name as its argument',
    );
    await withClient(invocation, async (client, session) => {
      session.print('userRevokeRole', { user, role, response: await client.auth.userRevokeRole(user, role) });
    });
  },
};

export const USER: Command = {
  name: 'user',
  usage: '<subcommand>',
  summary: 'Commands about users',
  group: GROUP.AUTH,
  commands: [ADD, DELETE, GET, LIST, PASSWD, GRANT, REVOKE],
};

function userAndRole(
  { args }: Invocation,
  problem: string,
): { readonly user: string; readonly role: string } {
  const [user, role] = args;
  if (user === undefined || role === undefined || args.length > 2)
    throw new ExitError(EXIT.BAD_ARGS, problem);
  return { user, role };
}

async function add(invocation: Invocation): Promise<void> {
  const argument = onlyArgument(invocation.args, 'user add command requires user name as its argument');
  const { user, password } = await userToAdd(invocation, argument);
  await withClient(invocation, async (client, session) => {
    session.print('userAdd', { user, response: await client.auth.userAdd(user, password) });
  });
}

/** The name, and the password from wherever it comes; null for none. */
async function userToAdd(
  invocation: Invocation,
  argument: string,
): Promise<{ readonly user: string; readonly password: string | null }> {
  const { flags } = invocation;
  if (flags.bool('no-password')) return { user: argument, password: null };
  const given = flags.text('new-user-password');
  if (given !== '') return { user: argument, password: given };
  const colon = argument.indexOf(':');
  if (colon < 0) return { user: argument, password: await newPassword(invocation, argument) };
  if (colon === 0) throw new ExitError(EXIT.BAD_ARGS, 'empty user name is not allowed');
  return { user: argument.slice(0, colon), password: argument.slice(colon + 1) };
}

async function newPassword({ flags, io }: Invocation, user: string): Promise<string> {
  if (!flags.bool('interactive')) return firstWord(io);
  const first = await asked(`Password of ${user}: `);
  if (first === '') throw new ExitError(EXIT.BAD_ARGS, 'empty password');
  const second = await asked(`Type password of ${user} again for confirmation: `);
  if (first !== second) throw new ExitError(EXIT.BAD_ARGS, 'given passwords are different');
  return first;
}

async function asked(prompt: string): Promise<string> {
  const secret = await askSecret(prompt);
  if (secret === null) throw new ExitError(EXIT.BAD_ARGS, 'failed to ask password: EOF');
  return secret;
}

function firstWord(io: Io): string {
  return /\S+/.exec((io.readLine() ?? Buffer.alloc(0)).toString())?.[0] ?? '';
}

async function get(invocation: Invocation): Promise<void> {
  const user = onlyArgument(invocation.args, 'user get command requires user name as its argument');
  await withClient(invocation, async (client, session) => {
    const response = await client.auth.userGet(user);
    if (!invocation.flags.bool('detail')) {
      session.print('userGet', { user, response });
      return;
    }
    invocation.io.line(`User: ${user}`);
    for (const role of response.roles) {
      invocation.io.line('');
      session.print('roleGet', { role, response: await client.auth.roleGet(role) });
    }
  });
}
