/** `etcdctl role …`. */
import { EMPTY_BYTES } from '@etcd/base';
import { type PermissionKind, prefixEnd } from '@etcd/client';
import {
  type Command,
  ExitError,
  type FlagDefinition,
  type FlagValues,
  type Invocation,
} from '@etcd/host/cli';
import { noArguments, onlyArgument } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';
import { bytesOf } from '../words.ts';

const RANGE_FLAGS: readonly FlagDefinition[] = [
  { name: 'prefix', type: 'bool', usage: 'all keys that begin with the given one' },
  { name: 'from-key', type: 'bool', usage: 'all keys from the given one on' },
];

function needsRole(command: string): string {
  return `role ${command} command requires role name as its argument`;
}

const ADD: Command = {
  name: 'add',
  usage: '<role name>',
  summary: 'Adds a role',
  async run(invocation) {
    const role = onlyArgument(invocation.args, needsRole('add'));
    await withClient(invocation, async (client, session) => {
      session.print('roleAdd', { role, response: await client.auth.roleAdd(role) });
    });
  },
};

const DELETE: Command = {
  name: 'delete',
  usage: '<role name>',
  summary: 'Deletes a role',
  async run(invocation) {
    const role = onlyArgument(invocation.args, needsRole('delete'));
    await withClient(invocation, async (client, session) => {
      session.print('roleDelete', { role, response: await client.auth.roleDelete(role) });
    });
  },
};

const GET: Command = {
  name: 'get',
  usage: '<role name>',
  summary: 'Prints what a role may do',
  async run(invocation) {
    const role = onlyArgument(invocation.args, needsRole('get'));
    await withClient(invocation, async (client, session) => {
      session.print('roleGet', { role, response: await client.auth.roleGet(role) });
    });
  },
};

const LIST: Command = {
  name: 'list',
  usage: '',
  summary: 'Lists all roles',
  async run(invocation) {
    noArguments(invocation.args, 'role list command requires no arguments');
    await withClient(invocation, async (client, session) => {
      session.print('roleList', { response: await client.auth.roleList() });
    });
  },
};

const GRANT: Command = {
  name: 'grant-permission',
  usage: '[options] <role name> <permission type> <key> [endkey]',
  summary: 'Lets a role read or write keys',
  flags: RANGE_FLAGS,
  argumentValues: ['read', 'write', 'readwrite'],
  run: grant,
};

const REVOKE: Command = {
  name: 'revoke-permission',
  usage: '<role name> <key> [endkey]',
  summary: 'Takes the permission for keys from a role',
  flags: RANGE_FLAGS,
  run: revoke,
};

export const ROLE: Command = {
  name: 'role',
  usage: '<subcommand>',
  summary: 'Commands about roles',
  group: GROUP.AUTH,
  commands: [ADD, DELETE, GET, LIST, GRANT, REVOKE],
};

const KINDS: ReadonlyMap<string, PermissionKind> = new Map([
  ['READ', 'read'],
  ['WRITE', 'write'],
  ['READWRITE', 'readwrite'],
]);

async function grant(invocation: Invocation): Promise<void> {
  const [role, type, key, end] = invocation.args;
  if (role === undefined || type === undefined || key === undefined) {
    const problem =
      'role grant command requires role name, permission type, and key [endkey] as its argument';
    throw new ExitError(EXIT.BAD_ARGS, problem);
  }
  const kind = KINDS.get(type.toUpperCase());
  if (kind === undefined) throw new ExitError(EXIT.BAD_ARGS, `invalid permission type: ${type}`);
  const range = permissionRange(invocation.flags, key, end);
  await withClient(invocation, async (client, session) => {
    const response = await client.auth.roleGrantPermission(role, kind, range.key, {
      rangeEnd: range.rangeEnd,
    });
    session.print('roleGrantPermission', { role, response });
  });
}

async function revoke(invocation: Invocation): Promise<void> {
  const [role, key, end] = invocation.args;
  if (role === undefined || key === undefined) {
    const problem = 'role revoke-permission command requires role name and key [endkey] as its argument';
    throw new ExitError(EXIT.BAD_ARGS, problem);
  }
  const range = permissionRange(invocation.flags, key, end);
  await withClient(invocation, async (client, session) => {
    const response = await client.auth.roleRevokePermission(role, range.key, { rangeEnd: range.rangeEnd });
    session.print('roleRevokePermission', { role, key: bytesOf(key), rangeEnd: range.rangeEnd, response });
  });
}

const ZERO = new Uint8Array(1);

function permissionRange(
  flags: FlagValues,
  key: string,
  end: string | undefined,
): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  const isPrefix = flags.bool('prefix');
  const isFromKey = flags.bool('from-key');
  const bad = (message: string): ExitError => new ExitError(EXIT.BAD_ARGS, message);
  const bytes = bytesOf(key);
  if (isPrefix && isFromKey && (key === '' || end === undefined)) {
    throw bad('--from-key and --prefix flags are mutually exclusive');
  }
  // The key before all others; with a flag, and so without an end, everything.
  if (key === '') return { key: ZERO, rangeEnd: isPrefix || isFromKey ? ZERO : EMPTY_BYTES };
  if (end === undefined) {
    return { key: bytes, rangeEnd: isPrefix ? prefixEnd(bytes) : isFromKey ? ZERO : EMPTY_BYTES };
  }
  if (isPrefix) throw bad('unexpected endkey argument with --prefix flag');
  if (isFromKey) throw bad('unexpected endkey argument with --from-key flag');
  return { key: bytes, rangeEnd: bytesOf(end) };
}
