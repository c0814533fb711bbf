/**
 * Runs the bundle of etcdutl on a small database, and saves the code that V8 has made of it:
 *
 *     node tools/code-cache/etcdutl.ts <bundle> <file>
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { NodeDisk } from '@etcd/base/node';
import { Database } from '@etcd/bbolt';

const [bundle, target] = process.argv.slice(2) as [string, string];
const directory = mkdtempSync(`${tmpdir()}/etcdutl-build-`);
const snapshot = `${directory}/snapshot.db`;

const COMMANDS = [
  `snapshot status ${snapshot}`,
  `snapshot status ${snapshot} -w json`,
  `snapshot restore ${snapshot} --skip-hash-check --data-dir ${directory}/member-data`,
  `hashkv ${snapshot}`,
  'version',
];

function writeSnapshot(): void {
  const database = Database.open({ disk: new NodeDisk(), path: snapshot, freelist: 'rebuilt' });
  const write = database.beginWrite();
  for (const name of ['key', 'meta', 'members']) write.createBucket(Buffer.from(name));
  write.commit();
  database.close();
}

/** Runs the program once; its end is not ours, and nobody reads what it prints. */
function run(script: Script, command: string): Promise<void> {
  const { exit } = process;
  process.argv.splice(1, process.argv.length, 'etcdutl', ...command.split(' '));
  const module = { exports: {} };
  return new Promise<void>((resolve) => {
    process.exit = (() => resolve()) as unknown as typeof process.exit;
    script.runInThisContext()(createRequire(bundle), pathToFileURL(bundle).href, module, module.exports);
  }).then(() => {
    process.exit = exit;
  });
}

async function main(): Promise<void> {
  try {
    writeSnapshot();
    const script = new Script(readFileSync(bundle, 'latin1'), { filename: bundle });
    for (const command of COMMANDS) await run(script, command);
    const temporary = `${target}.tmp`;
    writeFileSync(temporary, script.createCachedData());
    renameSync(temporary, target);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
