import { type Scenario, type Session, testScenarios } from './session.ts';

const FORMATS = ['simple', 'json', 'fields'] as const;

async function fill(session: Session, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await session.rpc.call('KV.Put', { key: `k${i}`, value: `value ${(i * 7) % count}` });
  }
  for (let i = 0; i < count; i += 3) await session.rpc.call('KV.Put', { key: `k${i}`, value: `again ${i}` });
}

/** Keys `v0`, `v1`, … that were put as often as `versions` says. */
async function fillVersions(session: Session, versions: readonly number[]): Promise<void> {
  for (const [i, version] of versions.entries()) {
    for (let n = 1; n <= version; n++)
      await session.rpc.call('KV.Put', { key: `v${i}`, value: `version ${n}` });
  }
}

const scenarios: Scenario[] = [
  {
    name: 'put in every format',
    play: async (session) => {
      for (const format of FORMATS) {
        await session.ctl('put', 'a', '1', '-w', format);
        await session.ctl('put', 'a', '2', '--prev-kv', '-w', format);
        await session.ctl('put', `new-${format}`, '2', '--prev-kv', '-w', format);
      }
      await session.protobuf('PutResponse', 'put', 'a', '3', '--prev-kv');
      await session.ctl('put', 'a', '1', '-w', 'table');
      await session.ctl('get', '', '--prefix', '-w', 'json');
    },
  },
  {
    name: 'put flags and bad input',
    play: async (session) => {
      const lease = await session.grant('lease');
      await session.ctl('put', 'a', '1', `--lease=${lease}`);
      await session.ctl('put', 'a', '--ignore-value', `--lease=${lease}`);
      await session.ctl('put', 'a', '2', '--ignore-lease');
      await session.ctl('get', 'a', '-w', 'json');
      await session.ctl('put', 'a', '--ignore-value');
      await session.ctl('get', 'a', '-w', 'json');
      await session.ctl('put', 'missing', '--ignore-value');
      await session.ctl('put', 'missing', '1', '--ignore-lease');
      await session.ctl('put', 'a', '1', '--lease=1234abcd');
      await session.ctl('put', 'a', '1', '--lease=nonsense');
      await session.ctl('put', '', 'x');
      await session.ctl('put', 'a', '');
      await session.ctl('get', 'a', '-w', 'json');
      await session.ctl('put');
      await session.ctl('put', 'a', 'b', 'c');
      await session.ctl('put', '--', '-dash', 'value');
      await session.ctl('get', '--', '-dash');
      await session.ctlWith({ stdin: 'from\nstandard input\n' }, 'put', 'stdin');
      await session.ctl('get', 'stdin', '-w', 'json');
      await session.ctlWith({ stdin: 'x'.repeat(1024 * 1024) }, 'put', 'large');
      await session.ctlWith({ stdin: 'x'.repeat(1536 * 1024) }, 'put', 'limit');
      await session.ctlWith({ stdin: 'x'.repeat(2300 * 1024) }, 'put', 'beyond');
      await session.ctlWith({ env: { ETCDCTL_WRITE_OUT: 'fields' } }, 'put', 'env', '1');
    },
  },
  {
    name: 'get in every format',
    play: async (session) => {
      await fill(session, 10);
      for (const format of FORMATS) {
        await session.ctl('get', 'k1', '-w', format);
        await session.ctl('get', 'missing', '-w', format);
        await session.ctl('get', 'k', '--prefix', '--limit=3', '-w', format);
        await session.ctl('get', 'k', '--prefix', '--keys-only', '-w', format);
        await session.ctl('get', 'k', '--prefix', '--count-only', '-w', format);
        await session.ctl('get', 'k', '--prefix', '--print-value-only', '-w', format);
        await session.ctl('get', 'k1', '--hex', '-w', format);
      }
      await session.protobuf('RangeResponse', 'get', 'k', '--prefix', '--limit=4');
      await session.ctl('get', 'k', '--prefix', '-w', 'table');
      await session.ctl('get', 'k', '-w', 'nonsense');
    },
  },
  {
    name: 'get ranges, revisions and orders',
    play: async (session) => {
      await fill(session, 20);
      await session.ctl('get', 'k1', 'k3');
      await session.ctl('get', 'k3', 'k1');
      await session.ctl('get', 'k18', '--from-key');
      await session.ctl('get', '', '--from-key', '--limit=2');
      await session.ctl('get', '', '--prefix', '--limit=2', '-w', 'json');
      await session.ctl('get', 'k1', 'k2', '--prefix');
      await session.ctl('get', 'k1', '--prefix', '--from-key');
      await session.ctl('get');
      for (const rev of ['1', '2', '5', '21', '28', '29', '1000', '-3']) {
        await session.ctl('get', 'k', '--prefix', `--rev=${rev}`, '-w', 'json');
      }
      for (const consistency of ['l', 's', 'x'])
        await session.ctl('get', 'k1', `--consistency=${consistency}`);
      // In versions "k" has ties, which Go's sort leaves in an order that changes with the release of Go; "v" has none.
      await fillVersions(session, [3, 1, 4, 2, 5]);
      for (const target of ['CREATE', 'KEY', 'MODIFY', 'VALUE', 'VERSION', 'modify', 'nonsense']) {
        const prefix = target === 'VERSION' ? 'v' : 'k';
        for (const order of ['ASCEND', 'DESCEND']) {
          const sort = [`--sort-by=${target}`, `--order=${order}`];
          await session.ctl('get', prefix, '--prefix', ...sort, '--limit=4');
          await session.ctl('get', prefix, '--prefix', ...sort, '-w', 'fields');
        }
      }
      await session.ctl('get', 'k', '--prefix', '--order=nonsense');
      await session.ctl('get', 'k', '--prefix', '--order=DESCEND', '--keys-only');
      await session.quiet({}, 'compaction', '10');
      for (const rev of ['9', '10', '11'])
        await session.ctl('get', 'k', '--prefix', `--rev=${rev}`, '-w', 'json');
    },
  },
  {
    name: 'del',
    play: async (session) => {
      await fill(session, 30);
      await session.ctl('del', 'missing');
      await session.ctl('del', 'missing', '--prev-kv', '-w', 'json');
      await session.ctl('del', 'k1');
      await session.ctl('del', 'k2', '--prev-kv');
      await session.ctl('del', 'k3', '--prev-kv', '-w', 'json');
      await session.ctl('del', 'k4', '--prev-kv', '-w', 'fields');
      await session.ctl('del', 'k5', 'k7');
      await session.ctl('del', 'k10', '--prefix', '--prev-kv');
      await session.ctl('del', 'k2', '--prefix', '-w', 'json');
      await session.ctl('del', 'k9', '--from-key');
      await session.protobuf('DeleteRangeResponse', 'del', 'k', '--prefix', '--prev-kv');
      await session.ctl('del', '');
      await session.ctl('del');
      await session.ctl('get', '', '--prefix', '-w', 'json');
      await session.ctl('del', '', '--prefix');
      await session.ctl('get', '', '--prefix', '-w', 'json');
    },
  },
  {
    name: 'txn from standard input',
    play: async (session) => {
      await session.ctl('put', 'a', 'one');
      await session.ctl('put', 'b', 'two');
      await session.ctl('put', 'a', 'three');
      const compares = [
        'value("a") = "three"',
        'val("a") != "three"',
        'value("a") > "aaa"',
        'value("a") < "zzz"',
        'value("missing") = ""',
        'value("missing") != "x"',
        'version("a") = "2"',
        'ver("a") > "2"',
        'version("missing") = "0"',
        'create("a") = "2"',
        'c("b") < "3"',
        'mod("a") = "4"',
        'm("a") != "4"',
        'mod("missing") = "0"',
      ];
      for (const compare of compares) {
        await session.ctlWith({ stdin: `${compare}\n\nget a\n\nget b\n\n` }, 'txn');
      }
      for (const format of FORMATS) {
        const stdin =
          'mod("a") > "0"\n\nput c "with space"\nget a\nget c\ndel b --prev-kv\nget b\n\nput e 2\n\n';
        await session.ctlWith({ stdin }, 'txn', '-w', format);
      }
      await session.ctlWith({ stdin: '\nput x 1\nput x 2\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: '\nput x 1\ndel x\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: '\n\n\n' }, 'txn', '-w', 'json');
      await session.ctlWith({ stdin: 'nonsense\n\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: 'value("a") ~ "1"\n\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: '\nnonsense a\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: '\nget a --rev=1000\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: '\nput m --ignore-value\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: `\n${'get a\n'.repeat(129)}\n\n` }, 'txn');
      await session.ctlWith({ stdin: `\n${'get a\n'.repeat(128)}\n\n` }, 'txn', '-w', 'json');
      await session.ctl('get', '', '--prefix', '-w', 'json');
    },
  },
  {
    name: 'txn interactively',
    play: async (session) => {
      await session.ctlWith({ stdin: 'mod("a") = "0"\n\nput a 1\nget a\n\nget a\n\n' }, 'txn', '-i');
      await session.ctlWith(
        { stdin: 'mod("a") = "0"\n\nput a 1\nget a\n\nget a\n\n' },
        'txn',
        '--interactive',
      );
    },
  },
];

testScenarios('kv', scenarios);
