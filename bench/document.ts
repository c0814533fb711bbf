/** Writes docs/benchmarks.md from results/latest.json: `node bench/document.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { CASES } from './cases/index.ts';
import { formatTable, type Report } from './report.ts';

const { machine, rows } = JSON.parse(
  readFileSync(new URL('results/latest.json', import.meta.url), 'utf8'),
) as Report;
const measured = CASES.filter((one) => rows.some((row) => row.case === one.name));
const text = `# Benchmarks

Written by \`node bench/document.ts\` from \`bench/results/latest.json\`, which comes from

    npm run bench -- --all --against <etcd 3.5> --json bench/results/latest.json

on a virtual machine with ${machine.cpus} CPUs (${machine.model}) and Node.js ${machine.node}, otherwise idle, generator and servers on the same
two CPUs; but for \`stall-5m\`, which is of one round at a load average of 9 to 12, all others of at least three. [bench/README.md](../bench/README.md) says what the columns mean and how it
is measured.

What falls short, and why:

- \`put-1\`: of the time that one request takes, the disk's sync, which both servers wait for, and the generator's own turn around
  are the larger part. A profile of the server shows one read, one write and one sync of the log and one write to the socket, without an extra turn
  of the event loop in between.
- \`memory-1m\`: a Node process begins with about 80 MB, and V8 keeps what it has grown to. After a restart it is half of Go's.
- \`catch-up\`: all three members and the generator share one disk, which the database of 1 GB keeps busy, on Go's side as on ours. The figure also
  counts pauses in which the generator waited for the member's first answer; the case has been corrected since, and not been measured again.
- the longest stall of \`stall-5m\` contains the time that prober and server wait for a processor: of the event loop's own gaps above 25 ms, seen from
  inside, none had more than 25 ms of CPU in it.

## Goals

${formatTable(rows.filter((row) => row.isMet !== null))}
## Everything

${measured.map((one) => `- \`${one.name}\`: ${one.about}`).join('\n')}

${formatTable(rows)}`;
writeFileSync(new URL('../docs/benchmarks.md', import.meta.url), text);
