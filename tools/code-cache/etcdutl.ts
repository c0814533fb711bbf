/**
 * Runs the bundle of etcdutl on a small database, and saves the code that V8 has made of it:
 *
 *     node tools/code-cache/etcdutl.ts <bundle> <file>
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { NodeDisk } from '@etcd/base/node';
import { Database } from '@etcd/bbolt';
import { Bundle, main } from './bundle.ts';

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

main(directory, async () => {
  writeSnapshot();
  const program = new Bundle(bundle);
  for (const command of COMMANDS) await program.run('etcdutl', ...command.split(' '));
  program.save(target);
});
